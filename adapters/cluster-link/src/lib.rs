//! Open Inference Protocol v2 over gRPC, to the endpoints of a jurisdiction that proved who they are.
