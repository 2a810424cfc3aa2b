import Testing

/// The real program, as users start it; one at a time, for its ranks share few cores.
@Suite(.serialized) struct CommandLineTests {}
