package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"diffstitch/pipelines/failure"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/flink" // --runner flink
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
)

// flink is the runner that hands jobs to Beam's job server in front of Flink.
const flink = "flink"

// flinkPage is where users read how to start one.
const flinkPage = "deploy/flink/README.md"

// answerWithin is how long a job server may take to answer.
const answerWithin = 10 * time.Second

// prepareFlink settles where the job server is and how workers start, and fails
// before any work is done if the one does not answer or the other cannot be.
func prepareFlink(ctx context.Context) error {
	endpoint := *jobopts.Endpoint
	if endpoint == "" {
		return fmt.Errorf("%w: --runner flink needs --endpoint HOST:PORT, where Beam's job server listens (%s says how to start one)", failure.ErrUsage, flinkPage)
	}
	if err := prepareWorkers(); err != nil {
		return err
	}
	dialer := net.Dialer{Timeout: answerWithin}
	conn, err := dialer.DialContext(ctx, "tcp", endpoint)
	if err != nil {
		return fmt.Errorf("engine: no job server answers at --endpoint %s: %w (%s says how to start one)", endpoint, err, flinkPage)
	}
	return conn.Close()
}

// unbounded are options of Beam's runner for Flink that its Go SDK has no flags for. A
// source that has no more input would be run to its end in one go, in which nothing is
// checkpointed and no watermark gets through, unless sources are kept; a bundle is to be
// handed on soon, since watermarks wait for it at each stage; and it is to be handed on before
// a checkpoint, since what it made is kept back for the time of one and a watermark that
// waited for it is not: windows would close without what belongs into them.
var unbounded = map[string]string{
	"shutdown_sources_after_idle_ms":     strconv.Itoa(math.MaxInt64),
	"max_bundle_time_mills":              "100",
	"finish_bundle_before_checkpointing": "true",
}

// keepSources has the jobs that go to a job server be unbounded, until it is undone.
func keepSources(server string) (undo func()) {
	dial := grpcx.Dial
	grpcx.Dial = func(ctx context.Context, to string, timeout time.Duration) (*grpc.ClientConn, error) {
		if to != server {
			return dial(ctx, to, timeout)
		}
		return grpc.NewClient(to, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUnaryInterceptor(addOptions),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.WaitForReady(true)))
	}
	return func() { grpcx.Dial = dial }
}

// addOptions adds the options to a job that is prepared.
func addOptions(ctx context.Context, method string, request, reply any, to *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if job, prepares := request.(*jobpb.PrepareJobRequest); prepares {
		for name, value := range unbounded {
			job.GetPipelineOptions().GetFields()["beam:option:"+name+":v1"] = structpb.NewStringValue(value)
		}
	}
	return call(ctx, method, request, reply, to, opts...)
}

// prepareWorkers fills in the flags that say how Flink starts the workers: as
// processes of this program unless another way is asked for.
func prepareWorkers() error {
	switch kind := strings.ToUpper(*jobopts.EnvironmentType); kind {
	case "LOOPBACK":
		return nil
	case "EXTERNAL":
		if *jobopts.EnvironmentConfig == "" {
			return fmt.Errorf("%w: --environment_type EXTERNAL needs --environment_config HOST:PORT of the worker pool beside each TaskManager", failure.ErrUsage)
		}
	case "", "PROCESS":
		*jobopts.EnvironmentType = "PROCESS"
		if err := prepareProcess(); err != nil {
			return err
		}
	case "DOCKER":
	default:
		return fmt.Errorf("%w: unknown --environment_type %s: it is PROCESS, LOOPBACK, EXTERNAL or DOCKER", failure.ErrUsage, kind)
	}
	if *jobopts.WorkerBinary == "" {
		if err := runThis(); err != nil {
			return err
		}
	}
	if info, err := os.Stat(*jobopts.WorkerBinary); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%w: --worker_binary %s is no file here: leave it out to have the workers run this program, or build it (make build)", failure.ErrUsage, *jobopts.WorkerBinary)
	}
	return nil
}

// prepareProcess names the boot program, which a TaskManager starts a worker
// by: the one beside this program. The settings of the models' engine go along.
func prepareProcess() error {
	if *jobopts.EnvironmentConfig != "" {
		var config struct{ Command string }
		if err := json.Unmarshal([]byte(*jobopts.EnvironmentConfig), &config); err != nil || config.Command == "" {
			return fmt.Errorf(`%w: --environment_config %s is not of the form {"command":"/path/of/boot"}`, failure.ErrUsage, *jobopts.EnvironmentConfig)
		}
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("engine: finding the boot program beside this one: %w", err)
	}
	boot := filepath.Join(filepath.Dir(self), "boot")
	if _, err := os.Stat(boot); err != nil {
		return fmt.Errorf(`%w: no boot program to start workers by: %w; build it (make boot), or give its path on the workers: --environment_config '{"command":"/path/of/boot"}'`, failure.ErrUsage, err)
	}
	env := map[string]string{}
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "GOMLX_") {
			env[name] = value
		}
	}
	config, err := json.Marshal(map[string]any{"command": boot, "env": env})
	*jobopts.EnvironmentConfig = string(config)
	return err
}
