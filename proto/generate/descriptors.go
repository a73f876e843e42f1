package main

import (
	"fmt"
	"sort"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	_ "gateway/proto/generate/envoyapi"
)

// closure collects files so that each stands after everything it imports, the order every reader of a
// FileDescriptorSet may rely on.
type closure struct {
	resolve func(path string) (protoreflect.FileDescriptor, error)
	seen    map[string]bool
	set     *descriptorpb.FileDescriptorSet
}

func newClosure(resolve func(path string) (protoreflect.FileDescriptor, error)) *closure {
	return &closure{resolve: resolve, seen: map[string]bool{}, set: &descriptorpb.FileDescriptorSet{}}
}

func (c *closure) add(path string) error {
	if c.seen[path] {
		return nil
	}
	c.seen[path] = true
	file, err := c.resolve(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	imports := file.Imports()
	for i := range imports.Len() {
		if err := c.add(imports.Get(i).Path()); err != nil {
			return fmt.Errorf("imported by %s: %w", path, err)
		}
	}
	c.set.File = append(c.set.File, protodesc.ToFileDescriptorProto(file))
	return nil
}

func (c *closure) marshal() ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(c.set)
}

// belongsToCommandService names registered files that only the command service needs. They are linked into this
// program for it and stay out of the Envoy API.
func belongsToCommandService(path string) bool {
	return path == healthProto || path == errorDetailsProto
}

func envoyAPI() ([]byte, error) {
	var paths []string
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !belongsToCommandService(file.Path()) {
			paths = append(paths, file.Path())
		}
		return true
	})
	sort.Strings(paths)
	files := newClosure(protoregistry.GlobalFiles.FindFileByPath)
	for _, path := range paths {
		if err := files.add(path); err != nil {
			return nil, err
		}
	}
	return files.marshal()
}
