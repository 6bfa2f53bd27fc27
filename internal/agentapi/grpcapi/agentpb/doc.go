// Package agentpb is the messages between server and agent as protobuf has them,
// generated from proto/trifid/agent/v1/agent.proto by scripts/gen.sh. Only
// grpcapi imports it; everything else uses the types of agentapi.
package agentpb
