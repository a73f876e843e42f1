package main

import (
	"context"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	// Imports of command_service.proto, and what Envoy's transcoder and gRPC clients need beside it.
	_ "github.com/envoyproxy/protoc-gen-validate/validate"
	_ "google.golang.org/genproto/googleapis/api/annotations"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails"
	_ "google.golang.org/genproto/googleapis/rpc/status"
	_ "google.golang.org/grpc/health/grpc_health_v1"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"
)

const (
	commandServiceProto = "aggregate/gateway/v1/command_service.proto"
	healthProto         = "grpc/health/v1/health.proto"
	errorDetailsProto   = "google/rpc/error_details.proto"
	statusProto         = "google/rpc/status.proto"
)

// registered resolves imports from the descriptors inside the Go modules this program is linked with, so that no
// .proto file of anybody else has to be copied here.
var registered = protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
	file, err := protoregistry.GlobalFiles.FindFileByPath(path)
	if err != nil {
		return protocompile.SearchResult{}, err
	}
	return protocompile.SearchResult{Desc: file}, nil
})

func commandService(source string) ([]byte, error) {
	// Only our own folder is read from disk; everything else comes from the modules pinned in go.sum.
	own := &protocompile.SourceResolver{ImportPaths: []string{source}}
	compiler := protocompile.Compiler{
		Resolver: protocompile.CompositeResolver{registered, own},
		// Comments stay in the .proto file: Envoy gets this set inline in its listener and has no use for them.
		SourceInfoMode: protocompile.SourceInfoNone,
	}
	compiled, err := compiler.Compile(context.Background(), commandServiceProto)
	if err != nil {
		return nil, err
	}
	files := newClosure(func(path string) (protoreflect.FileDescriptor, error) {
		if path == commandServiceProto {
			return compiled.FindFileByPath(path), nil
		}
		return protoregistry.GlobalFiles.FindFileByPath(path)
	})
	for _, path := range []string{commandServiceProto, errorDetailsProto, statusProto, healthProto} {
		if err := files.add(path); err != nil {
			return nil, err
		}
	}
	return files.marshal()
}
