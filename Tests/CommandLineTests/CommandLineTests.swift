import Testing

/// Tests that start the real program as users do. They run one at a time because its ranks share
/// few cores.
@Suite(.serialized) struct CommandLineTests {}
