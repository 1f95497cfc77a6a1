// Command cel_go measures cel-go as evaluate.py measures the engines for Python.
package main

import (
	"encoding/json"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
)

type question struct {
	Rules  []string       `json:"rules"`
	Facts  map[string]any `json:"facts"`
	Rounds int            `json:"rounds"`
}

type answer struct {
	First  []float64 `json:"first"`
	Again  []float64 `json:"again"`
	Met    []any     `json:"met"`
	Memory int64     `json:"memory"`
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatal(err)
	}
	var names []cel.EnvOption
	for name := range asked.Facts {
		names = append(names, cel.Variable(name, cel.DynType))
	}
	environment, err := cel.NewEnv(names...)
	if err != nil {
		log.Fatal(err)
	}
	var found answer
	for range asked.Rounds {
		for _, rule := range asked.Rules {
			begun := time.Now()
			evaluate(program(environment, rule), asked.Facts)
			found.First = append(found.First, time.Since(begun).Seconds())
		}
	}
	for _, rule := range asked.Rules {
		compiled := program(environment, rule)
		found.Met = append(found.Met, evaluate(compiled, asked.Facts))
		for number := range asked.Rounds {
			facts := map[string]any{"serving": map[string]any{"n": float64(number)}}
			for name, value := range asked.Facts {
				if name != "serving" {
					facts[name] = value
				}
			}
			begun := time.Now()
			evaluate(compiled, facts)
			found.Again = append(found.Again, time.Since(begun).Seconds())
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmHWM:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			found.Memory = kib * 1024
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		log.Fatal(err)
	}
}

func program(environment *cel.Env, rule string) cel.Program {
	parsed, issues := environment.Compile(rule)
	if issues.Err() != nil {
		log.Fatal(issues.Err())
	}
	compiled, err := environment.Program(parsed, cel.CostLimit(1000000), cel.InterruptCheckFrequency(100))
	if err != nil {
		log.Fatal(err)
	}
	return compiled
}

func evaluate(compiled cel.Program, facts map[string]any) any {
	value, _, err := compiled.Eval(facts)
	if err != nil {
		log.Fatal(err)
	}
	return value.Value()
}
