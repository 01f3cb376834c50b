package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/metricsx"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
)

// patience bounds a call of the job service.
const patience = 10 * time.Second

// service is Beam's job service, asked about one job.
type service struct {
	endpoint string // "" where there is none
	job      string

	connection io.Closer
	client     jobpb.JobServiceClient
	id         string
}

var errUnknownJob = errors.New("the job service does not know the job")

// metrics are those the service has; none where there is no service.
func (s *service) metrics(ctx context.Context) (Metrics, error) {
	if s.endpoint == "" {
		return NewMetrics(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.find(ctx); err != nil {
		return NewMetrics(), err
	}
	response, err := s.client.GetJobMetrics(ctx, &jobpb.GetJobMetricsRequest{JobId: s.id})
	if err != nil {
		return NewMetrics(), fmt.Errorf("observe: metrics of job %s: %w", s.id, err)
	}
	found := response.GetMetrics()
	return soFar(metricsx.FromMonitoringInfos(nil, ours(found.GetAttempted()), ours(found.GetCommitted())).AllMetrics()), nil
}

// ours leaves out the runner's own metrics.
func ours(infos []*pipepb.MonitoringInfo) (user []*pipepb.MonitoringInfo) {
	for _, info := range infos {
		if strings.HasPrefix(info.GetUrn(), "beam:metric:user:") {
			user = append(user, info)
		}
	}
	return user
}

// find connects to the service and looks for the job.
func (s *service) find(ctx context.Context) error {
	if s.client == nil {
		connection, err := grpcx.Dial(ctx, s.endpoint, patience)
		if err != nil {
			return fmt.Errorf("observe: %w", err)
		}
		s.connection, s.client = connection, jobpb.NewJobServiceClient(connection)
	}
	if s.id != "" {
		return nil
	}
	found, err := s.client.GetJobs(ctx, &jobpb.GetJobsRequest{})
	if err != nil {
		return fmt.Errorf("observe: jobs at %s: %w", s.endpoint, err)
	}
	for _, job := range found.GetJobInfo() {
		if strings.Contains(job.GetJobName(), s.mark()) {
			s.id = job.GetJobId()
			return nil
		}
	}
	return errUnknownJob
}

// mark is the end of the job's name, which no other job has. Flink's job server
// changes the rest.
func (s *service) mark() string { return s.job[strings.LastIndex(s.job, "-")+1:] }

func (s *service) close() {
	if s.connection != nil {
		_ = s.connection.Close() // nothing is under way
	}
}

// Cancel stops a job that the runner goes on with although its driver was
// interrupted. Without a job service there is nothing to stop.
func (j *Job) Cancel() error {
	s := service{endpoint: *jobopts.Endpoint, job: j.Name}
	if s.endpoint == "" {
		return nil
	}
	defer s.close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := s.find(ctx)
	if errors.Is(err, errUnknownJob) {
		return nil // interrupted before it began
	}
	if err == nil {
		_, err = s.client.Cancel(ctx, &jobpb.CancelJobRequest{JobId: s.id})
	}
	if err != nil {
		return fmt.Errorf("observe: cancelling job %s: %w", j.Name, err)
	}
	return nil
}

// Succeeded fails unless the job came to a good end: to Beam's client one that
// somebody cancelled, or whose job server went away, looks as if it had.
func (j *Job) Succeeded() error {
	s := service{endpoint: *jobopts.Endpoint, job: j.Name}
	defer s.close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.find(ctx); err != nil {
		return err
	}
	state, err := s.client.GetState(ctx, &jobpb.GetJobStateRequest{JobId: s.id})
	if err != nil {
		return fmt.Errorf("observe: state of job %s: %w", s.id, err)
	}
	if state.GetState() != jobpb.JobState_DONE {
		return fmt.Errorf("job %s ended as %s", j.Name, state.GetState())
	}
	return nil
}
