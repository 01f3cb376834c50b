package learners

import (
	"strings"
	"unicode"
)

// Namespaces are what Minari puts before the names of datasets that have settings, as in
// d4rl/pen/human-v2.
var Namespaces = []string{"d4rl", "mujoco"}

// registered are Gymnasium's names where they are not D4RL's too. The sparse variant of
// an environment has other rewards, and none of these settings.
var registered = map[string]string{"adroithandpen": "pen"}

// HasPreset says whether one of PresetNames begins an environment's name.
func HasPreset(environment string) bool { return PresetOf(environment) != "" }

// PresetOf finds the longest of PresetNames that begins a name, or "".
func PresetOf(environment string) (longest string) {
	name := plainName(environment)
	for preset := range settings {
		if begins(name, preset) && len(preset) > len(longest) {
			longest = preset
		}
	}
	return longest
}

// plainName is a name as D4RL would have it: D4RL/pen/human-v2 is pen-human-v2, and
// AdroitHandPen-v1 is pen-v1.
func plainName(environment string) string {
	name := strings.ToLower(environment)
	for _, namespace := range Namespaces {
		name = strings.TrimPrefix(name, namespace+"/")
	}
	name = strings.ReplaceAll(name, "/", "-")
	for of, plain := range registered {
		if begins(name, of) {
			name = plain + strings.TrimPrefix(name, of)
		}
	}
	return name
}

// begins says whether a name begins with whole words: pen begins pen-human-v1 and not
// pendulum-v1.
func begins(name, words string) bool {
	rest, found := strings.CutPrefix(name, words)
	return found && strings.IndexFunc(rest, isWord) != 0
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
