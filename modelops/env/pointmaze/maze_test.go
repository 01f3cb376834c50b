package pointmaze

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestDefault(t *testing.T) {
	m := Default()
	if got := len(m.Walls()) + len(m.free); got != int(m.Width()*m.Height()) {
		t.Errorf("%d walls and free cells, want %v", got, m.Width()*m.Height())
	}
	if diff := cmp.Diff([2]float64{7.5, 7.5}, m.Goal()); diff != "" {
		t.Errorf("goal (-want +got):\n%s", diff)
	}
}

func TestNewRejects(t *testing.T) {
	tests := []struct {
		name string
		rows []string
		want string
	}{
		{"no goal", []string{"###", "#.#", "###"}, "0 goals, want 1"},
		{"two goals", []string{"####", "#GG#", "####"}, "2 goals, want 1"},
		{"ragged", []string{"###", "#G", "###"}, "row 1 has 2 cells, want 3"},
		{"open", []string{"###", "#G.", "###"}, "the border is open at row 1 column 2"},
		{"unknown", []string{"####", "#Gx#", "####"}, `row 1 column 2 holds 'x'`},
		{"unreachable", []string{"#####", "#G#.#", "#####"}, "the goal is reached from 1 of 2 free cells"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(test.rows...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// box is a corridor around one wall cell, whose corners are (2, 2) and (3, 2).
func box(t *testing.T) *Maze {
	t.Helper()
	m, err := New("#####", "#..G#", "#.#.#", "#####")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCrossesWall(t *testing.T) {
	nan := float32(math.NaN())
	tests := []struct {
		name string
		a, b [2]float32
		want bool
	}{
		{"one free point", [2]float32{1.5, 1.5}, [2]float32{1.5, 1.5}, false},
		{"along a corridor", [2]float32{1.2, 2.9}, [2]float32{3.9, 2.1}, false},
		{"a point in a wall", [2]float32{2.5, 1.5}, [2]float32{2.5, 1.5}, true},
		{"from a wall", [2]float32{2.5, 1.5}, [2]float32{2.5, 2.5}, true},
		{"into a wall", [2]float32{1.5, 1.5}, [2]float32{2.1, 1.5}, true},
		{"through a wall", [2]float32{1.5, 1.5}, [2]float32{3.5, 1.5}, true},
		{"past a corner", [2]float32{1.5, 1.9}, [2]float32{2.1, 2.7}, false},
		{"cutting a corner", [2]float32{1.9, 1.5}, [2]float32{2.5, 2.1}, true},
		{"touching a corner", [2]float32{1.5, 1.5}, [2]float32{2.5, 2.5}, true},
		{"outside", [2]float32{-3, 1.5}, [2]float32{-3, 1.5}, true},
		{"out of sight", [2]float32{1.5, 1.5}, [2]float32{1e30, 1.5}, true},
		{"not a number", [2]float32{nan, 1.5}, [2]float32{1.5, 1.5}, true},
	}
	m := box(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := m.CrossesWall(test.a, test.b); got != test.want {
				t.Errorf("a to b: %v, want %v", got, test.want)
			}
			if got := m.CrossesWall(test.b, test.a); got != test.want {
				t.Errorf("b to a: %v, want %v", got, test.want)
			}
		})
	}
}

func TestStep(t *testing.T) {
	tests := []struct {
		name   string
		obs    [4]float32
		action [2]float32
		want   [4]float32
		reward float32
	}{
		{"force speeds up", [4]float32{1.5, 2.5, 0, 0}, [2]float32{1, 0}, [4]float32{1.54, 2.5, 0.4, 0}, 0},
		{"actions are clipped", [4]float32{1.5, 2.5, 0, 0}, [2]float32{9, -9}, [4]float32{1.54, 2.46, 0.4, -0.4}, 0},
		{"drag slows down", [4]float32{1.5, 2.5, 1, 0}, [2]float32{}, [4]float32{1.58, 2.5, 0.8, 0}, 0},
		{"full speed is kept", [4]float32{1.5, 2.5, 2, 0}, [2]float32{1, 0}, [4]float32{1.7, 2.5, 2, 0}, 0},
		{"a wall stops one axis", [4]float32{1.95, 1.5, 2, 1}, [2]float32{1, 0.5}, [4]float32{2 - skin, 1.6, 0, 1}, 0},
		{"a wall on the left", [4]float32{1.05, 1.5, -2, 0}, [2]float32{-1, 0}, [4]float32{1 + skin, 1.5, 0, 0}, 0},
		{"a corner is not cut", [4]float32{2.05, 2.02, -1, -2}, [2]float32{-0.5, -1}, [4]float32{1.95, 2.02, -1, 0}, 0},
		{"the goal rewards", [4]float32{3.5, 2.1, 0, 0}, [2]float32{}, [4]float32{3.5, 2.1, 0, 0}, 1},
	}
	m := box(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, reward := m.Step(test.obs, test.action)
			near := cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-6 })
			if diff := cmp.Diff(test.want, got, near); diff != "" {
				t.Errorf("next (-want +got):\n%s", diff)
			}
			if reward != test.reward {
				t.Errorf("reward %v, want %v", reward, test.reward)
			}
		})
	}
}

func TestStepStaysFree(t *testing.T) {
	m := Default()
	force := rapid.Float32Range(-1.5, 1.5)
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.SampledFrom(m.free).Draw(t, "cell").centre()
		obs := [4]float32{float32(at[0]), float32(at[1]), rapid.Float32().Draw(t, "vx"), rapid.Float32().Draw(t, "vy")}
		for range rapid.IntRange(1, 20).Draw(t, "actions") {
			action := [2]float32{force.Draw(t, "x"), force.Draw(t, "y")}
			for range 10 { // long enough to run into a wall
				next, _ := m.Step(obs, action)
				if m.CrossesWall([2]float32(obs[:2]), [2]float32(next[:2])) {
					t.Fatalf("from %v, action %v leads through a wall to %v", obs, action, next)
				}
				obs = next
			}
		}
	})
}
