package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// asPeer has the test binary ask a pool, whose address it is, for a worker.
const asPeer = "DIFFSTITCH_TEST_AS_PEER"

func TestMain(m *testing.M) {
	if address := os.Getenv(asPeer); address != "" {
		if err := askForWorker(context.Background(), address); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// askForWorker asks a pool for a worker, whose runner nobody is.
func askForWorker(ctx context.Context, address string) error {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	nobody := &pipepb.ApiServiceDescriptor{Url: "127.0.0.1:9"} // the discard service
	answer, err := fnpb.NewBeamFnExternalWorkerPoolClient(connection).StartWorker(ctx, &fnpb.StartWorkerRequest{
		WorkerId: "intruder", ControlEndpoint: nobody, LoggingEndpoint: nobody,
	})
	if err != nil {
		return err
	}
	if answer.GetError() != "" {
		return errors.New(answer.GetError())
	}
	return nil
}

func pool(t *testing.T, inProcess bool) *Pool {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("who is at the other end is known on Linux alone")
	}
	ctx, cancel := context.WithCancel(t.Context())
	p, err := NewPool(ctx, inProcess)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); p.Stop() })
	return p
}

// peer asks from another process, by a copy of the test binary that other users may
// run, too.
func peer(t *testing.T, address string, user *syscall.Credential) (said string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "peer")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	binary, err := os.ReadFile(self)
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(dir+"/peer", binary, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), dir+"/peer")
	cmd.Env, cmd.Dir = append(os.Environ(), asPeer+"="+address), "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestPoolOfTheProcess(t *testing.T) {
	p := pool(t, true)
	if said, err := peer(t, p.Address, nil); err == nil || !strings.Contains(said, "Unavailable") {
		t.Errorf("another process is served: %v: %s", err, said)
	}
	if err := askForWorker(t.Context(), p.Address); err != nil {
		t.Error("this process is not served:", err)
	}
}

func TestPoolOfTheUser(t *testing.T) {
	p := pool(t, false)
	host, _, err := net.SplitHostPort(p.Address)
	if err != nil || !net.ParseIP(host).IsLoopback() {
		t.Errorf("it listens at %s: %v", p.Address, err)
	}
	if said, err := peer(t, p.Address, nil); err != nil {
		t.Errorf("this user's process is not served: %v: %s", err, said)
	}
	if os.Getuid() != 0 {
		t.Skip("root alone can be another user as well")
	}
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	if said, err := peer(t, p.Address, nobody); err == nil || !strings.Contains(said, "Unavailable") {
		t.Errorf("another user is served: %v: %s", err, said)
	}
}

// TestPrismHasNoPort dials the port that prism named its endpoint by.
func TestPrismHasNoPort(t *testing.T) {
	endpoint, err := Prism()
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := net.DialTimeout("tcp", endpoint, time.Second); err == nil {
		conn.Close()
		t.Errorf("something answers at %s", endpoint)
	}
}
