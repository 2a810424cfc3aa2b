import Collectives
import Recipes
import Support

/// The network between the hosts of a cluster, as a TOML file describes it.
package struct NetworkProfile: Sendable, Equatable {
    package let name: String
    package var costs: LinkCosts
    /// The number of hosts on a switch; 0 if all hosts are on one.
    package var hostsPerSwitch = 0
    /// The ratio of the rate of a switch's hosts to that of its links to other switches.
    package var oversubscription = 1.0

    private static let required = ["gigabits_per_second", "latency_us"]
    private static let optional = [
        "message_us", "core_gigabytes_per_second", "hosts_per_switch", "oversubscription",
    ]

    /// Reads a profile.
    ///
    /// - Throws: `Failure` (configuration) that names the first key that is missing, unknown or not a
    ///   possible number.
    package init(toml: String, file: String, name: String) throws(Failure) {
        let document = try RecipeValue.document(toml, name: file)
        let keys = Self.required + Self.optional
        for key in document.keys.sorted() where !keys.contains(key) {
            throw .file(
                .configuration, file, "has the unknown key \"\(key)\"",
                remedy: spellingRemedy(
                    for: key, among: keys, otherwise: "use \(Format.list(keys))"))
        }
        for key in Self.required where document[key] == nil {
            throw .file(
                .configuration, file, "has no \(key)",
                remedy: "add it, as in cluster/profiles/10gbe.toml")
        }
        func number(
            _ key: String, default value: Double = 0, in range: ClosedRange<Double> = 0...1e9
        ) throws(Failure) -> Double {
            guard let written = document[key] else { return value }
            guard let number = written.number, range.contains(number) else {
                throw Failure.key(
                    key, written.toml,
                    "must be a number from \(Format.significant(range.lowerBound, digits: 1)) to "
                        + Format.significant(range.upperBound, digits: 1),
                    remedy: "see the documentation page PlanACluster"
                ).inFile(file)
            }
            return number
        }
        self.name = name
        let rates = 1e-6...1e9
        costs = LinkCosts(
            bytesPerSecond: try number("gigabits_per_second", in: rates) * 1e9 / 8,
            latency: try number("latency_us") * 1e-6,
            messageSeconds: try number("message_us") * 1e-6,
            byteSeconds: 1e-9
                / (try number("core_gigabytes_per_second", default: .infinity, in: rates)))
        hostsPerSwitch = Int(try number("hosts_per_switch"))
        oversubscription = try number("oversubscription", default: 1, in: 1...1e9)
    }

    /// Returns the costs between a number of hosts, whose messages to hosts on other switches share
    /// the links between switches.
    func costs(hosts: Int) -> LinkCosts {
        guard hostsPerSwitch > 0, hosts > hostsPerSwitch else { return costs }
        let share = Double(hosts - hostsPerSwitch) / Double(hosts - 1)
        var shared = costs
        shared.bytesPerSecond /= max(1, share * oversubscription)
        return shared
    }
}

extension NetworkProfile {
    /// Reads the profile of a file, or the profile with a name in `cluster/profiles`, which is in a
    /// folder above the program.
    ///
    /// - Throws: `Failure` (usage) if there is none; the same as the initializer that reads TOML.
    package init(named name: String) throws(Failure) {
        if name.contains("/") || name.hasSuffix(".toml") {
            try self.init(toml: readText(name), file: name, name: name)
            return
        }
        guard let folder = FileSystem.pathAboveProgram("cluster/profiles") else {
            throw .file(
                .missingInput, "cluster/profiles", "is in no folder above the program",
                remedy: "run the lockstep of a checkout or of a package, or give --network the "
                    + "path of a profile")
        }
        let names = try FileSystem.names(in: folder).filter { $0.hasSuffix(".toml") }
            .map { String($0.dropLast(5)) }
        guard names.contains(name) else {
            throw .option(
                "--network", name, "is not the name of a profile",
                remedy: "give "
                    + Format.alternatives(names + ["the path of a profile"]))
        }
        let path = "\(folder)/\(name).toml"
        try self.init(toml: readText(path), file: path, name: name)
    }
}
