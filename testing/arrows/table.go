package arrows

const (
	beam  = "github.com/apache/beam"
	gomlx = "github.com/gomlx"
)

// layer is a folder at the root, and what its packages do not import of other modules.
type layer struct {
	never             []string // tests included
	neverOutsideTests []string
}

// layers from the top down.
var layers = map[string]layer{
	"cmd":        {never: []string{gomlx}},
	"pipelines":  {never: []string{gomlx}},
	"transforms": {never: []string{gomlx}, neverOutsideTests: opensFiles},
	"modelops":   {never: []string{beam}},
	"io":         {never: []string{gomlx}},
	"testing":    {},
}

// opensFiles are packages that reach a disk, a bucket or a network.
var opensFiles = []string{
	"os", "io/fs", "io/ioutil", "embed", "net", "syscall",
	"cloud.google.com/go/storage", "github.com/aws",
	beam + "/sdks/v2/go/pkg/beam/io",
	"github.com/parquet-go/parquet-go",
	"github.com/apache/arrow-go",
}

// parquetPackage alone imports the libraries that read and write Parquet.
const parquetPackage = "io/parquet"

var parquetLibraries = []string{
	"github.com/parquet-go/parquet-go",
	"github.com/apache/arrow-go/v18/parquet",
}

// tablePackage alone imports the library of tables, which is large.
const tablePackage = "io/table"

var tableLibraries = []string{"github.com/apache/iceberg-go"}

// arrows is the table of ARCHITECTURE.md: what each package imports of this module.
// An entry that ends in /... stands for all below a folder.
var arrows = map[string][]string{
	"cmd/run": {"pipelines/...", "transforms/...", "modelops/...", "io/..."},

	"pipelines/augment":              {"pipelines/augment/method", "pipelines/augment/sample", "pipelines/engine", "pipelines/failure", "pipelines/input", "pipelines/modelset", "pipelines/observe", "pipelines/version", "transforms/mix", "modelops/...", "io/dataset", "io/datasetio", "io/report", "io/snapshot", "io/storage", "io/trajectory"},
	"pipelines/augment/method":       {"pipelines/augment/sample", "pipelines/observe", "transforms/...", "modelops/...", "io/datasetio", "io/report", "io/snapshot", "io/storage", "io/trajectory"},
	"pipelines/augment/sample":       {"io/trajectory"},
	"pipelines/demo":                 {"pipelines/augment", "pipelines/engine", "pipelines/evaluate", "pipelines/evaluate/truth", "pipelines/exchange", "pipelines/failure", "pipelines/input", "pipelines/observe", "pipelines/train", "modelops/...", "io/report", "io/snapshot", "io/trajectory"},
	"pipelines/engine":               {"pipelines/engine/embedded", "pipelines/failure", "pipelines/observe", "modelops/...", "io/storage"},
	"pipelines/engine/embedded":      {},
	"pipelines/evaluate":             {"pipelines/evaluate/environment", "pipelines/failure", "pipelines/input", "pipelines/observe", "modelops/...", "io/datasetio", "io/storage", "io/trajectory"},
	"pipelines/evaluate/environment": {"pipelines/failure", "pipelines/input", "modelops/...", "io/datasetio"},
	"pipelines/evaluate/truth":       {"pipelines/evaluate/environment", "pipelines/failure", "pipelines/input", "pipelines/observe", "pipelines/version", "modelops/...", "io/report", "io/storage", "io/trajectory"},
	"pipelines/exchange":             {"pipelines/failure", "pipelines/input", "modelops/...", "io/dataset", "io/datasetio", "io/storage", "io/trajectory"},
	"pipelines/failure":              {},
	"pipelines/input":                {"pipelines/failure", "io/dataset", "io/datasetio", "io/snapshot", "io/storage", "io/trajectory"},
	"pipelines/modelset":             {"io/storage"},
	"pipelines/observe":              {},
	"pipelines/refresh":              {"pipelines/augment", "pipelines/evaluate/truth", "pipelines/failure", "pipelines/input", "pipelines/modelset", "pipelines/observe", "pipelines/train", "pipelines/version", "modelops/...", "io/dataset", "io/datasetio", "io/snapshot", "io/storage", "io/trajectory"},
	"pipelines/stream":               {"pipelines/augment/method", "pipelines/engine", "pipelines/failure", "pipelines/input", "pipelines/modelset", "pipelines/observe", "pipelines/version", "transforms/mix", "modelops/...", "io/dataset", "io/datasetio", "io/report", "io/snapshot", "io/storage", "io/trajectory"},
	"pipelines/study":                {"pipelines/augment", "pipelines/augment/method", "pipelines/engine", "pipelines/evaluate", "pipelines/evaluate/environment", "pipelines/exchange", "pipelines/failure", "pipelines/input", "pipelines/observe", "pipelines/train", "pipelines/version", "transforms/mix", "transforms/pair", "modelops/...", "io/dataset", "io/report", "io/snapshot", "io/storage"},
	"pipelines/snapshots":            {"pipelines/failure", "io/snapshot"},
	"pipelines/table":                {"pipelines/failure", "io/snapshot", "io/table"},
	"pipelines/train":                {"pipelines/engine", "pipelines/failure", "pipelines/input", "pipelines/observe", "modelops/...", "io/snapshot", "io/storage", "io/trajectory"},
	"pipelines/version":              {},

	"transforms/estimate":   {"transforms/inference", "modelops/session", "io/attempt", "io/trajectory"},
	"transforms/inference":  {"modelops/session", "modelops/training", "io/attempt"},
	"transforms/inpaint":    {"transforms/inference", "modelops/session", "io/attempt", "io/trajectory"},
	"transforms/mix":        {"transforms/rank", "io/trajectory"},
	"transforms/pair":       {"transforms/rank", "io/trajectory"},
	"transforms/qualify":    {"transforms/inference", "modelops/session", "modelops/training", "io/attempt", "io/trajectory"},
	"transforms/rank":       {"io/trajectory"},
	"transforms/refine":     {"transforms/inference", "modelops/session", "io/attempt", "io/trajectory"},
	"transforms/rollout":    {"transforms/inference", "transforms/qualify", "modelops/session", "modelops/training", "io/attempt", "io/trajectory"},
	"transforms/synthesize": {"transforms/inference", "transforms/qualify", "modelops/edm", "modelops/session", "io/attempt", "io/trajectory"},
	"transforms/wrapup":     {"transforms/inference", "modelops/session", "io/attempt", "io/trajectory"},

	"modelops/backend":             {"modelops/backend/executables"},
	"modelops/backend/backendtest": {"modelops/backend"},
	"modelops/backend/executables": {},
	"modelops/checkpoint":          {},
	"modelops/cvae":                {"modelops/nets"},
	"modelops/diffusion":           {"modelops/nets", "modelops/random"},
	"modelops/edm":                 {"modelops/nets", "modelops/random"},
	"modelops/env":                 {},
	"modelops/env/catalog":         {"modelops/env", "modelops/env/gymnasium", "modelops/env/pointmaze"},
	"modelops/env/envtest":         {"modelops/env"},
	"modelops/env/gymnasium":       {"modelops/env"},
	"modelops/env/pointmaze":       {"modelops/env"},
	"modelops/learners":            {"modelops/backend", "modelops/checkpoint", "modelops/random", "modelops/tensorboard", "modelops/training/execution", "modelops/training/resumable"},
	"modelops/nets":                {"modelops/backend"},
	"modelops/random":              {},
	"modelops/refinement":          {"modelops/nets"},
	"modelops/session":             {"modelops/backend", "modelops/checkpoint", "modelops/diffusion", "modelops/edm", "modelops/nets", "modelops/random", "modelops/refinement", "modelops/training", "modelops/training/execution"},
	"modelops/tensorboard":         {},
	"modelops/training":            {"modelops/backend", "modelops/checkpoint", "modelops/cvae", "modelops/diffusion", "modelops/edm", "modelops/nets", "modelops/random", "modelops/refinement", "modelops/training/execution", "modelops/training/resumable"},
	"modelops/training/execution":  {"modelops/backend", "modelops/checkpoint"},
	"modelops/training/resumable":  {"modelops/checkpoint", "modelops/training/execution"},

	"io/attempt":            {"io/fault", "io/trajectory"},
	"io/dataset":            {"io/layout", "io/layout/lerobot", "io/layout/minari", "io/layout/nested", "io/layout/transitions", "io/parquet", "io/snapshot", "io/storage", "io/trajectory"},
	"io/datasetio":          {"io/attempt", "io/dataset", "io/parquet", "io/storage", "io/trajectory"},
	"io/fault":              {},
	"io/layout":             {"io/parquet", "io/snapshot", "io/storage", "io/trajectory"},
	"io/layout/lerobot":     {"io/layout", "io/parquet", "io/storage", "io/trajectory"},
	"io/layout/minari":      {"io/layout", "io/parquet", "io/storage", "io/trajectory"},
	"io/layout/nested":      {"io/layout", "io/parquet", "io/trajectory"},
	"io/layout/transitions": {"io/layout", "io/parquet", "io/trajectory"},
	"io/parquet":            {"io/storage"},
	"io/report":             {"io/snapshot"},
	"io/snapshot":           {"io/storage"},
	"io/storage":            {"io/fault", "io/storage/bucket", "io/storage/gcs", "io/storage/s3"},
	"io/storage/bucket":     {},
	"io/storage/gcs":        {"io/storage/bucket"},
	"io/storage/s3":         {"io/storage/bucket"},
	"io/table":              {"io/parquet", "io/snapshot", "io/storage"},
	"io/trajectory":         {},
}
