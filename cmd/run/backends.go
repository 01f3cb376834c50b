package main

import (
	"fmt"
	"io"

	"diffstitch/modelops/backend"

	"github.com/spf13/cobra"
)

func newBackends() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "backends",
		Short: "List the engines that can run the models here",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			infos := backend.List()
			if asJSON {
				return printJSON(cmd.OutOrStdout(), infos)
			}
			for _, b := range infos {
				state := b.Description
				if b.Notice != "" {
					state = "not available: " + b.Notice
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%-4s %s\n", b.Name, state)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	cmd.AddCommand(&cobra.Command{
		Use:       "install cpu|cuda",
		Short:     "Fetch an XLA plugin by go-xla's own installer (needs the internet)",
		ValidArgs: []string{"cpu", "cuda"},
		Args:      args(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		RunE:      func(_ *cobra.Command, given []string) error { return backend.Install(given[0]) },
	})
	return cmd
}

// sayBackend says in one line which engine runs the models, and what to do for
// a faster one. A backend that does not open is reported by the run itself.
func sayBackend(w io.Writer, name string) {
	_, info, err := backend.Open(name)
	switch {
	case err != nil:
	case info.Notice != "":
		fmt.Fprintln(w, info.Notice)
	default:
		fmt.Fprintln(w, "backend:", info.Description)
	}
}
