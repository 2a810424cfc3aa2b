import Support
import Verdicts

extension SizedFamily {
    /// Returns a sentence about the models that no transfer has, with the runs to add; none if
    /// every model is in a transfer.
    ///
    /// - Parameter compared: the models of the transfers.
    func gaps(beyond compared: Set<SizedModel>) -> [String] {
        let absent = members.filter { !compared.contains($0.model) }
        guard let first = absent.first else { return [] }
        let start = "With \(parametrization.title), "
        guard members.count > 1 else {
            return [
                start + "\(first.model.name) is the only model, so there is no verdict on "
                    + "transfer; train another size with the same batches and rates."
            ]
        }
        let names = Format.list(absent.map(\.model.name))
        let gap =
            compared.isEmpty
            ? "there is no verdict on transfer"
            : "\(names) \(absent.count == 1 ? "is" : "are") in no verdict on transfer"
        return [start + gap + ", because " + (isolation(of: absent) ?? Self.noLoss)]
    }

    private static let noLoss =
        "no two models have losses at one batch after the compared tokens or steps; train them "
        + "for as long as the others."

    /// Returns the clause about models that share no batch with another model; nil if they do.
    private func isolation(of absent: [SizedMember]) -> String? {
        let isShared = absent.contains { member in
            members.contains {
                $0.model != member.model && !$0.batches.isDisjoint(with: member.batches)
            }
        }
        guard !isShared else { return nil }
        let own = absent.map { member in
            let batches = member.batches.sorted().map(String.init)
            return "\(member.model.name) has \(batches.count == 1 ? "batch" : "batches") "
                + Format.list(batches)
        }
        // The batch that most models have needs the fewest further models.
        let all = Set(members.flatMap(\.batches)).sorted()
        let target = all.max { one, other in
            let (first, second) = (count(ofBatch: one), count(ofBatch: other))
            return first < second || first == second && one > other
        }
        guard let target else { return nil }
        let lacking = absent.filter { !$0.batches.contains(target) }.map(\.model.name)
        let rates = members.flatMap { $0.rates(ofBatch: target) }
        guard let least = rates.min(), let most = rates.max() else { return nil }
        let range =
            least == most
            ? "rate \(Self.text(least))" : "rates from \(Self.text(least)) to \(Self.text(most))"
        return "models are compared at one batch and \(Format.list(own)); train "
            + "\(Format.list(lacking)) at batch \(target), too, with \(range)."
    }

    private func count(ofBatch batch: Int) -> Int {
        members.count { $0.batches.contains(batch) }
    }

    private static func text(_ rate: Double) -> String { Format.scientific(rate, digits: 2) }
}

extension SizedMember {
    /// The batches with runs whose rates were chosen freely.
    fileprivate var batches: Set<Int> {
        Set(points.lazy.filter { $0.rule == TrainedPoint.grid }.map(\.batch))
    }

    fileprivate func rates(ofBatch batch: Int) -> [Double] {
        points.filter { $0.rule == TrainedPoint.grid && $0.batch == batch }.map(\.learningRate)
    }
}
