package lerobot

import (
	"bytes"
	"fmt"
	"io"

	"diffstitch/io/layout"
	"diffstitch/io/storage"

	"github.com/apache/arrow-go/v18/arrow"
)

// pandasIndex has pandas take the column of tasks as the index of the table, by
// which LeRobot looks tasks up.
const pandasIndex = `{"index_columns": ["task"], "column_indexes": [{"name": null, "field_name": null, "pandas_type": "unicode", "numpy_type": "object", "metadata": {"encoding": "UTF-8"}}], ` +
	`"columns": [{"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", "metadata": null}, ` +
	`{"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": null}], "pandas_version": "2.2.3"}`

// writeTasks writes v3.0's table of the one task.
func (w *writer) writeTasks() error {
	columns := []layout.Series{layout.Single("task_index", []int64{0}), layout.Single("task", []string{w.config.Task})}
	metadata := arrow.NewMetadata([]string{"pandas"}, []string{pandasIndex})
	schema := arrow.NewSchema([]arrow.Field{columns[0].Field(), columns[1].Field()}, &metadata)
	return storage.CreateWhole(storage.Join(w.dir, "meta/tasks.parquet"), func(out io.Writer) error {
		return writeRecord(out, schema, columns)
	})
}

// features are the columns as info.json describes them, in their order.
type features []layout.Series

// MarshalJSON gives an object.
func (f features) MarshalJSON() ([]byte, error) {
	var buffer bytes.Buffer
	for i, c := range f {
		if i > 0 {
			buffer.WriteByte(',')
		}
		dtype := "string"
		switch c.Values.(type) {
		case []float32:
			dtype = "float32"
		case []int64:
			dtype = "int64"
		case []bool:
			dtype = "bool"
		}
		fmt.Fprintf(&buffer, `%q: {"dtype": %q, "shape": [%d], "names": null}`, c.Name, dtype, c.Width)
	}
	return []byte("{" + buffer.String() + "}"), nil
}

// info is the content of info.json.
func (w *writer) info() any {
	common := commonInfo{
		RobotType: nil, TotalEpisodes: w.episodes, TotalFrames: w.frames, TotalTasks: 1, ChunksSize: chunkFiles, FPS: w.config.FPS,
		Splits: map[string]string{"train": fmt.Sprintf("0:%d", w.episodes)}, Features: w.features,
	}
	if w.config.Layout == layout.LeRobotV21 {
		return struct {
			Version     string `json:"codebase_version"`
			TotalVideos int    `json:"total_videos"`
			TotalChunks int64  `json:"total_chunks"`
			commonInfo
			DataPath string `json:"data_path"`
		}{"v2.1", 0, (w.episodes + chunkFiles - 1) / chunkFiles, common, dataV21}
	}
	return struct {
		Version         string `json:"codebase_version"`
		DataFilesSizeMB int    `json:"data_files_size_in_mb"`
		VideoFileSizeMB int    `json:"video_files_size_in_mb"`
		commonInfo
		DataPath string `json:"data_path"`
	}{"v3.0", fileMB, 5 * fileMB, common, dataV30}
}

// commonInfo is what both versions say of themselves.
type commonInfo struct {
	RobotType     *string           `json:"robot_type"`
	TotalEpisodes int64             `json:"total_episodes"`
	TotalFrames   int64             `json:"total_frames"`
	TotalTasks    int               `json:"total_tasks"`
	ChunksSize    int               `json:"chunks_size"`
	FPS           int               `json:"fps"`
	Splits        map[string]string `json:"splits"`
	VideoPath     *string           `json:"video_path"`
	Features      features          `json:"features"`
}
