package exchange_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"diffstitch/io/dataset"
	"diffstitch/pipelines/exchange"
	"diffstitch/pipelines/input"
)

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	maze, robot, ctx := filepath.Join(dir, "maze.parquet"), filepath.Join(dir, "robot"), context.Background()
	if _, err := exchange.GeneratePointMaze(ctx, exchange.GenerateOptions{Out: maze, Episodes: 3, Seed: 1}); err != nil {
		panic(err)
	}
	exported, err := exchange.Export(ctx, exchange.ExportOptions{Data: input.Data{Path: maze}, Layout: dataset.LeRobotV30, Out: robot, FPS: 20})
	if err != nil {
		panic(err)
	}
	seen, err := exchange.Inspect(ctx, robot, dataset.Options{}, false)
	if err != nil {
		panic(err)
	}
	fmt.Println(exported.Episodes, "episodes,", seen.Transitions == exported.Transitions)
	// Output: 3 episodes, true
}
