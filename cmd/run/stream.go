package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"diffstitch/io/snapshot"
	"diffstitch/pipelines/augment/method"
	"diffstitch/pipelines/input"
	"diffstitch/pipelines/stream"
	"diffstitch/pipelines/table"

	"github.com/spf13/cobra"
)

func newStream() *cobra.Command {
	o := stream.DefaultOptions()
	var delta, deltaSpace, address string
	var into table.PublishOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stream --data FOLDER --models DIR --out DIR",
		Short: "Grow D* while data arrives: a micro-snapshot for each window of new files",
		Long: `Takes new Parquet files as they appear in a folder, window by window, and publishes each
window's episodes and stitches as a snapshot that has all that the one before had. It goes
on until it is asked to end, by SIGTERM or an interrupt, by a file OUT/.stream/stop, or by
--until-idle: then it takes what is there, publishes it, and ends. A second signal ends it
at once; what was published stays, and the next stream takes up the rest.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := required(cmd.Flags(), "data", "models", "out"); err != nil {
				return err
			}
			if o.Delta, err = method.ParseDelta(delta); err == nil {
				o.Delta, err = o.Delta.In(deltaSpace)
			}
			if err == nil && (into.Catalog == "") != (into.Table == "") {
				err = errors.New("--catalog and --table: give both, or neither")
			}
			if err != nil {
				return usage(err)
			}
			if into.Table != "" {
				if err := input.Local(o.Out); err != nil {
					return fmt.Errorf("--table registers files where they lie: %w", err)
				}
				into.Out, into.Append = o.Out, true
				o.Published = func(ctx context.Context, s snapshot.Snapshot) error {
					into.ID = s.ID
					_, err := table.Publish(ctx, into)
					return err
				}
			}
			o.Runner = runner()
			return runStream(cmd, o, address, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Data.Path, "data", "", "folder or glob of the Parquet files that arrive (required)")
	addReading(flags, &o.Data.Options)
	addModels(flags, &o.Models, &o.Backend, &o.Seed)
	addPrecision(flags, &o.Precision)
	flags.StringVar(&o.Out, "out", "", "folder to publish in (required)")
	flags.DurationVar(&o.Window, "window", o.Window, "length of a window, in the time of the files' last changes")
	flags.DurationVar(&o.Poll, "poll", o.Poll, "how often to look for files; one is taken when two looks have found it the same")
	flags.DurationVar(&o.UntilIdle, "until-idle", 0, "end when nothing has come for so long; by default the stream goes on")
	flags.Float64Var(&o.Attempts, "attempts", o.Attempts, "stitches to attempt for each new episode, at most")
	flags.IntVar(&o.Latest, "latest", o.Latest, "episodes before a window that its own are ranked with")
	flags.IntVar(&o.Pool, "pool", o.Pool, "of those, the latest in the high pool that stitches may enter, at most")
	flags.IntVar(&o.Batch, "batch", 0, "stitches a batch; 0 for 64")
	flags.IntVar(&o.GPUConcurrency, "gpu-concurrency", o.GPUConcurrency, "batches that may run at once on the device of a worker process")
	flags.IntVar(&o.CacheMB, "cache-mb", o.CacheMB, "MiB of memory that each worker process spends on keeping a window's episodes")
	flags.Int64Var(&o.Mix.RowGroupRows, "row-group-rows", o.Mix.RowGroupRows, "rows of a row group, at least")
	flags.Int64Var(&o.Mix.PartRows, "part-rows", o.Mix.PartRows, "rows of a file, at least")
	addStitching(flags, &o.Settings, &o.Mix)
	addDelta(flags, &delta, &deltaSpace)
	addTable(flags, &into.Options, &asJSON)
	flags.Lookup("catalog").Usage = "have an Iceberg table hold what is published, too: its catalog, as in table publish"
	flags.Lookup("table").Usage = "the table, NAMESPACE.NAME, to which each window is added"
	flags.Lookup("json").Usage = "print what the stream came to as JSON"
	addWatching(flags, &address)
	addBeam(flags)
	return cmd
}

// sameSignal is how long after a signal another one is the same, sent to the process and to
// its group, as timeout does.
const sameSignal = time.Second

// runStream streams until the first signal, which drains it, or the second, which ends it.
func runStream(cmd *cobra.Command, o stream.Options, address string, asJSON bool) error {
	sayBackend(cmd.ErrOrStderr(), o.Backend)
	show, err := watching(cmd, address)
	if err != nil {
		return err
	}
	drain := cmd.Context().Done() // by the first signal
	ctx, stop := context.WithCancel(context.WithoutCancel(cmd.Context()))
	defer stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	go func() {
		var first time.Time
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			if first.IsZero() {
				first = time.Now()
			} else if time.Since(first) > sameSignal {
				stop()
			}
		}
	}()
	came, err := stream.Run(ctx, o, drain, show)
	if asJSON && (err == nil || came.Windows > 0) {
		return errors.Join(err, printJSON(cmd.OutOrStdout(), came))
	}
	if err == nil {
		printStream(cmd.OutOrStdout(), o.Out, came)
	}
	return err
}

// printStream says what a stream came to.
func printStream(w io.Writer, out string, s stream.Summary) {
	fmt.Fprintf(w, "streamed  %d files in %d windows, %d of them late\n", s.Files, s.Windows, s.Late)
	fmt.Fprintf(w, "published %d transitions of %d original episodes, %d of %d stitched ones\n",
		s.Original.Transitions, s.Original.Episodes, s.Stitched.Transitions, s.Stitched.Episodes)
	if s.Windows > 0 {
		fmt.Fprintf(w, "rate      %.1f original episodes per second; %.1f s from a file to its snapshot in the median, %.1f s at most\n",
			float64(s.Original.Episodes)/s.Seconds, s.Latency.Median, s.Latency.Max)
		fmt.Fprintf(w, "current   %s in %s\n", s.Snapshot, out)
	}
	for what, files := range map[string][]string{"rewritten, and not taken again": s.Rewritten, "not whole, and not taken": s.Waiting} {
		if len(files) > 0 {
			fmt.Fprintf(w, "%s: %s\n", what, strings.Join(files, ", "))
		}
	}
}
