// Command gitops judges resources as GitOps controllers do.
//
// It reads one JSON question a line from stdin and writes one JSON answer a line to stdout. A question has an object,
// and either a Lua script (Argo CD's health checks, discoveries and actions) or none (kstatus, as Flux asks it):
//
//	{"object": {...}, "script": "return {...}"}  ->  {"value": {...}, "patch": {...}}
//	{"object": {...}}                            ->  {"value": {"status": "Current", "message": "..."}}
//
// A script that fails gives {"error": "..."}. The patch is what Argo CD would send of a script that returns the object.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type question struct {
	Object map[string]any `json:"object"`
	Script *string        `json:"script"`
}

type answer struct {
	Value any            `json:"value,omitempty"`
	Patch map[string]any `json:"patch,omitempty"`
	Error string         `json:"error,omitempty"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		given, err := respond(lines.Bytes())
		if err != nil {
			given = answer{Error: err.Error()}
		}
		if err := out.Encode(given); err != nil {
			fail(err)
		}
	}
	if err := lines.Err(); err != nil {
		fail(err)
	}
}

func respond(line []byte) (answer, error) {
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return answer{}, err
	}
	object := unstructured.Unstructured{}
	raw, err := json.Marshal(asked.Object)
	if err != nil {
		return answer{}, err
	}
	// As it comes from an API server: integers are int64, not float64.
	if err := object.UnmarshalJSON(raw); err != nil {
		return answer{}, err
	}
	if asked.Script == nil {
		found, err := status.Compute(&object)
		if err != nil {
			return answer{}, err
		}
		return answer{Value: map[string]string{"status": found.Status.String(), "message": found.Message}}, nil
	}
	return runScript(object.Object, *asked.Script)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
