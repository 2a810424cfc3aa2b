import Compute
import MPI
import Recipes
import Support

extension Precision {
    /// Checks that the processor has the instructions for the precision, or that the precision is
    /// emulated.
    ///
    /// - Throws: `Failure` (configuration) if neither is the case; it recommends fp32.
    package func requireProcessor(emulates: Bool) throws(Failure) {
        guard self == .bf16, !emulates, !InstructionSet.best.multipliesBF16 else { return }
        throw Failure(
            .configuration,
            "[training] precision = \"bf16\": needs a processor with AVX512-BF16 or AMX-BF16, but "
                + "\(Communicator.hostName) has neither; use precision = \"fp32\", or add --emulate-bf16 to "
                + "emulate bf16 at no more than fp32's speed.")
    }
}
