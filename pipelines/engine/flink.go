package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"diffstitch/pipelines/failure"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/flink" // --runner flink
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
