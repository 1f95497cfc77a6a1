package main

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	lua "github.com/yuin/gopher-lua"
	luajson "layeh.com/gopher-json"
)

// A script of Argo CD's may take a second, and has the libraries below unless an administrator opens all of them. Its
// two functions of os are left out here: none of ours tells the time.
const limit = time.Second

var libraries = []struct {
	name string
	open lua.LGFunction
}{
	{lua.LoadLibName, lua.OpenPackage},
	{lua.BaseLibName, lua.OpenBase},
	{lua.TabLibName, lua.OpenTable},
}

func runScript(object map[string]any, script string) (answer, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range libraries {
		open := lua.P{Fn: state.NewFunction(library.open), Protect: true}
		if err := state.CallByParam(open, lua.LString(library.name)); err != nil {
			return answer{}, err
		}
	}
	deadline, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	state.SetContext(deadline)
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		return answer{}, err
	}
	returned := state.Get(-1)
	if returned.Type() != lua.LTTable {
		return answer{}, fmt.Errorf("the script returned a %s, not a table", returned.Type())
	}
	encoded, err := luajson.Encode(returned)
	if err != nil {
		return answer{}, err
	}
	var value any
	if err := json.Unmarshal(encoded, &value); err != nil {
		return answer{}, err
	}
	given := answer{Value: value}
	if changed, isObject := value.(map[string]any); isObject && changed["kind"] != nil {
		given.Patch = mergePatch(plain(object), withEmptyMaps(changed, object))
	}
	return given, nil
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch typed := value.(type) {
	case bool:
		return lua.LBool(typed)
	case int64:
		return lua.LNumber(typed)
	case float64:
		return lua.LNumber(typed)
	case string:
		return lua.LString(typed)
	case []any:
		table := state.NewTable()
		for _, item := range typed {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range typed {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}

// withEmptyMaps undoes what Lua cannot tell apart, as Argo CD does: an empty table comes back as an empty list, and
// where the object has a map, it is taken for that map as it was.
func withEmptyMaps(changed any, before any) any {
	switch now := changed.(type) {
	case map[string]any:
		was, _ := before.(map[string]any)
		for key, item := range now {
			if old, known := was[key]; known {
				now[key] = withEmptyMaps(item, old)
			}
		}
	case []any:
		if was, isMap := before.(map[string]any); isMap && len(now) == 0 {
			return plain(was)
		}
		was, _ := before.([]any)
		for index, item := range now {
			if index < len(was) {
				now[index] = withEmptyMaps(item, was[index])
			}
		}
	}
	return changed
}

// mergePatch gives what a JSON merge patch (RFC 7386) has to say to make `before` into `after`.
func mergePatch(before any, after any) map[string]any {
	was, _ := before.(map[string]any)
	now, _ := after.(map[string]any)
	patch := map[string]any{}
	for key := range was {
		if _, kept := now[key]; !kept {
			patch[key] = nil
		}
	}
	for key, item := range now {
		old, known := was[key]
		if known && reflect.DeepEqual(old, item) {
			continue
		}
		_, mapped := item.(map[string]any)
		if _, wasMapped := old.(map[string]any); mapped && wasMapped {
			patch[key] = mergePatch(old, item)
		} else {
			patch[key] = item
		}
	}
	return patch
}

// plain gives a value with every number a float64, as JSON has it.
func plain(value any) any {
	raw, err := json.Marshal(value)
	if err != nil {
		return value
	}
	var read any
	if err := json.Unmarshal(raw, &read); err != nil {
		return value
	}
	return read
}
