import Glibc

/// Returns the weight 1 - b of a step, counted from 1, in the average of the steps so far.
///
/// In the average over all steps, the weight of step t is then proportional to
/// t^(power + 1) - (t - 1)^(power + 1), the integral of (power + 1) x^power over the step
/// (Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models",
/// eq. 127).
package func averagingWeight(step: Int, power: Double) -> Double {
    precondition(step >= 1, "steps are counted from 1")
    return 1 - pow(1 - 1 / Double(step), power + 1)
}
