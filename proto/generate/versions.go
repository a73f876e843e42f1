package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime/debug"
)

// sources are the modules whose descriptors end up in the files.
var sources = []string{
	"github.com/cncf/xds/go",
	"github.com/envoyproxy/go-control-plane/envoy",
	"github.com/envoyproxy/protoc-gen-validate",
	"google.golang.org/genproto/googleapis/api",
	"google.golang.org/genproto/googleapis/rpc",
	"google.golang.org/grpc",
	"google.golang.org/protobuf",
}

type versions struct {
	Modules map[string]string `json:"modules"`
	SHA256  map[string]string `json:"sha256"`
}

// versionsJSON states what the descriptor sets were made of, as the Go linker recorded it, not as somebody typed it.
func versionsJSON(files map[string][]byte) ([]byte, error) {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, fmt.Errorf("no build information in this program")
	}
	linked := map[string]string{}
	for _, module := range build.Deps {
		linked[module.Path] = module.Version
	}
	result := versions{Modules: map[string]string{}, SHA256: map[string]string{}}
	for _, source := range sources {
		version, ok := linked[source]
		if !ok {
			return nil, fmt.Errorf("module %s is not linked in", source)
		}
		result.Modules[source] = version
	}
	for name, content := range files {
		sum := sha256.Sum256(content)
		result.SHA256[name] = hex.EncodeToString(sum[:])
	}
	text, err := json.MarshalIndent(result, "", "  ")
	return append(text, '\n'), err
}
