// The program that multi-rank tests start under a real mpirun. The first argument is the name of a
// program; rank 0 prints one line of JSON for each rank.

import Foundation
import MPI
import Support
import TestSupport

let arguments = Arguments(Array(CommandLine.arguments.dropFirst()))
do throws(Failure) {
    try runInMPI(arguments)
} catch {
    FileHandle.standardError.write(Data("lockstep: \(error.sentence)\n".utf8))
    exit(error.code.rawValue)
}

/// Runs the named program between initialization and finalization.
func runInMPI(_ arguments: Arguments) throws(Failure) {
    let environment = try MPIEnvironment()
    let world = environment.world
    do throws(Failure) {
        switch arguments.program {
        case "environment": try reportEnvironment(environment)
        case "collectives": try reportCollectives(world)
        case "message-size": try receiveWrongSize(world, arguments)
        case "texts": try exchangeTexts(world)
        case "window": try shareWindow(world)
        case "agree": try agree(world, arguments)
        case "same": try compareStrings(world, arguments)
        case "fail": try failAlone(world, arguments)
        case "stall": try endDuringInquiry(world)
        case "bucket": try waitForABucket(world)
        case "reduce": try reduce(world, arguments)
        case "statistics": try exchangeStatistics(world, arguments)
        case "range-test": try testRange(world, arguments)
        case "bench": try benchmark(world, arguments)
        default:
            throw Failure(
                .usage, "“\(arguments.program)” is not a program of the probe; see main.swift.")
        }
    } catch {
        world.exit(reporting: error)
    }
    try environment.finalize()
    // A watch that is still running would now call MPI and crash.
    if arguments.program == "stall" { Thread.sleep(forTimeInterval: 0.3) }
}
