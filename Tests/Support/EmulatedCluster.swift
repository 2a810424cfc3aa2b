import Foundation

/// The hosts that `cluster/emulate` makes on this machine.
package enum EmulatedCluster {
    package static let script = "\(Launch.root)/cluster/emulate"

    /// Whether hosts can be made. They need root, iproute2 and a kernel that lets root make network
    /// namespaces.
    package static let isPossible: Bool = {
        guard geteuid() == 0 else { return false }
        let script = "n=lockstep-try$$-0; ip netns add $n && ip netns delete $n && command -v tc"
        return (try? Launch.run("sh", ["-c", script]).status) == 0
    }()
}
