import Glibc

/// The networks of this host over which ranks on other hosts could reach it.
package enum HostNetworks {
    /// The name, address and prefix length of each IPv4 interface that is up, such as
    /// "eth0 10.77.0.1/24", without loopback.
    package static var list: [String] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return [] }
        defer { freeifaddrs(first) }
        var networks: [String] = []
        var next = first
        while let interface = next?.pointee {
            next = interface.ifa_next
            guard Int(interface.ifa_flags) & Int(IFF_UP) != 0,
                Int(interface.ifa_flags) & Int(IFF_LOOPBACK) == 0,
                let address = ipv4(interface.ifa_addr), let mask = ipv4(interface.ifa_netmask)
            else { continue }
            let bytes = withUnsafeBytes(of: address) { $0.map(String.init) }
            networks.append(
                "\(String(cString: interface.ifa_name)) \(bytes.joined(separator: "."))"
                    + "/\(mask.nonzeroBitCount)")
        }
        return networks
    }

    /// Returns an IPv4 address in network byte order; nil for another family.
    private static func ipv4(_ address: UnsafeMutablePointer<sockaddr>?) -> in_addr_t? {
        guard let address, address.pointee.sa_family == sa_family_t(AF_INET) else { return nil }
        return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
            $0.pointee.sin_addr.s_addr
        }
    }
}
