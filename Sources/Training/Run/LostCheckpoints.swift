import Support

/// The consecutive checkpoints that could not be written, with the warnings about them.
///
/// A full disk often stays full for many checkpoints, so only the first of them is reported in
/// full.
package struct LostCheckpoints {
    private var steps: [Int] = []

    package init() {}

    /// Adds a checkpoint that could not be written; returns a warning, or nil if the checkpoint
    /// before it was lost, too.
    package mutating func add(_ step: Int, because failure: Failure) -> String? {
        steps.append(step)
        guard steps.count == 1 else { return nil }
        return
            "no checkpoint at step \(step); earlier ones are kept, and further failures are not "
            + "reported until a checkpoint is written: \(failure.sentence)"
    }

    /// Ends the series after a checkpoint was written; returns a warning that counts the lost
    /// checkpoints, or nil if there are none.
    package mutating func recover() -> String? {
        defer { steps = [] }
        guard let first = steps.first, let last = steps.last else { return nil }
        return
            "a checkpoint was written again after \(Format.counted(steps.count, "checkpoint")) "
            + "could not be written "
            + (steps.count == 1 ? "(step \(first))" : "(steps \(first) to \(last))")
    }
}
