import Compute
import MPI
import Model
import Support

/// The reason that a state must not be saved as a checkpoint.
package enum StateDefect: Int64, Sendable {
    case skipped = 1
    case parameters, optimizer, loss

    /// The reason as a clause that follows "because".
    package var reason: String {
        switch self {
        case .skipped: "the step was skipped"
        case .parameters: "a parameter is not finite"
        case .optimizer: "a number in the optimizer's state is not finite"
        case .loss: "the loss of the parameters is not finite"
        }
    }
}

extension StateDefect {
    /// Returns the reason that a state must not be saved, the same on all ranks; nil if it may be
    /// saved. Collective: every rank must call this.
    ///
    /// A step can produce parameters that are finite but useless. Only the next step's loss shows
    /// this.
    ///
    /// - Parameter loss: the loss of the parameters on a micro-batch of the next step.
    static func agreed(
        on state: TrainingState, loss: Double, over communicator: Communicator
    ) throws(Failure) -> StateDefect? {
        var own: StateDefect?
        if state.nonFinite.skippedInARow > 0 {
            own = .skipped
        } else if !state.parameters.values.isFinite {
            own = .parameters
        } else if !state.optimizer.states.allSatisfy(\.buffer.isFinite)
            || state.average?.parameters.values.isFinite == false
        {
            own = .optimizer
        } else if !loss.isFinite {
            own = .loss
        }
        return StateDefect(rawValue: try communicator.allReduce(own?.rawValue ?? 0, .maximum))
    }
}
