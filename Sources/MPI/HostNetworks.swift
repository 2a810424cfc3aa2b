#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// The networks of this host over which ranks on other hosts could reach it.
package enum HostNetworks {
    /// The name, address and prefix length of each IPv4 interface that is up, such as
    /// "eth0 10.77.0.1/24"; loopback is left out.
    package static var list: [String] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return [] }
        defer { freeifaddrs(first) }
        guard let first else { return [] }
        return sequence(first: first) { $0.pointee.ifa_next }.compactMap { entry in
            let interface = entry.pointee
            guard interface.ifa_flags & UInt32(IFF_UP.rawValue) != 0,
                interface.ifa_flags & UInt32(IFF_LOOPBACK.rawValue) == 0,
                let address = ipv4(interface.ifa_addr), let mask = ipv4(interface.ifa_netmask)
            else { return nil }
            let bytes = withUnsafeBytes(of: address) { $0.map(String.init) }
            return "\(String(cString: interface.ifa_name)) \(bytes.joined(separator: "."))"
                + "/\(mask.nonzeroBitCount)"
        }
    }

    /// An IPv4 address in network byte order; nil for another family.
    private static func ipv4(_ address: UnsafeMutablePointer<sockaddr>?) -> in_addr_t? {
        guard let address, address.pointee.sa_family == sa_family_t(AF_INET) else { return nil }
        return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
            $0.pointee.sin_addr.s_addr
        }
    }
}
