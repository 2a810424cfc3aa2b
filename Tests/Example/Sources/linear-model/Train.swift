import Checkpoints
import Compute
import Glibc
import MPI
import Optimizers
import Recipes
import Support

/// Trains a linear model data-parallel: `mpirun -n 2 linear-model OUT.safetensors`.
@main struct Train {
    static func main() {
        let path = CommandLine.arguments.dropFirst().first ?? "linear.safetensors"
        do throws(Failure) {
            let environment = try MPIEnvironment()
            let world = environment.world
            do throws(Failure) {
                try train(world, to: path)
                try environment.finalize()
            } catch {
                // Ends all ranks. A rank that only returned would leave the others waiting.
                world.exit(reporting: error)
            }
        } catch {
            let line = Array("\(error.line)\n".utf8)
            _ = write(STDERR_FILENO, line, line.count)
            exit(error.code.rawValue)
        }
    }

    private static func train(_ world: Communicator, to path: String) throws(Failure) {
        let globalBatch = 64
        let steps = 400
        guard globalBatch % world.size == 0 else {
            throw Failure(
                .usage, "\(world.size) ranks: do not divide a batch of \(globalBatch); use 2.")
        }

        // The rate 0.01 was chosen at batch 16, so the linear rule gives 0.04 at batch 64.
        var configuration = OptimizerConfiguration(name: .adamw)
        configuration.learningRate = 0.01
        configuration.weightDecay = 0
        var scaling = ScalingConfiguration()
        scaling.rule = .linear
        scaling.baseBatch = 16
        let scaled = try scaling.resolve(configuration, globalBatch: globalBatch)
        var shape = ScheduleConfiguration()
        shape.name = .cosine
        shape.warmupSteps = 20
        let schedule = try shape.resolve(scaled, trainingSteps: steps)

        let model = LinearModel()
        var optimizer = try Optimizer(scaled.optimizer, layout: model.layout)
        let parameters = Buffer<Float>(count: model.layout.count)
        let own = Buffer<Float>(count: model.layout.count)
        let gradients = Buffer<Float>(count: model.layout.count)
        let share = globalBatch / world.size
        var loss = 0.0
        for step in 0..<steps {
            own.elements.update(repeating: 0)
            loss = 0
            let first = step * globalBatch + world.rank * share
            for number in first..<first + share {
                loss += model.addGradient(of: number, parameters: parameters, to: own)
            }
            try world.allReduce(own.base, into: gradients.base, count: own.count, .sum)
            loss = try world.allReduce(loss, .sum) / Double(globalBatch)
            let mean = 1 / Float(globalBatch)
            let norm = globalNorm(of: gradients) * Double(mean)
            optimizer.update(
                parameters: parameters, gradients: gradients,
                learningRate: schedule.learningRate(at: step),
                gradientScale: mean
                    * clippingCoefficient(norm: norm, clipNorm: configuration.clipNorm))
        }

        try world.onFirstRank { () throws(Failure) in
            try SafetensorsFile.write(
                TensorSource.all(of: model.layout, in: parameters), metadata: ["format": "pt"],
                to: path)
        }
        if world.rank == 0 {
            print("rate \(scaled.peakLearningRate), loss \(loss) with \(world.size) ranks")
        }
    }
}
