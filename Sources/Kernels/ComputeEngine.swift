import COneDNN
import Tensors

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Where kernels run: a thread team, and for each of its threads a oneDNN stream and scratch memory.
///
/// oneDNN runs single-threaded inside the team's tiles, so the team alone decides what is split.
package final class ComputeEngine: @unchecked Sendable {
    package let team: ThreadTeam
    let engine: dnnl_engine_t
    private let streams: [dnnl_stream_t]
    // Element i belongs to thread i alone.
    private var scratch: [UnsafeMutablePointer<Float>?]
    private var scratchCounts: [Int]

    /// Scratch that kernels share; kept apart from oneDNN's, which is live during a product.
    private var productScratch: [UnsafeMutableRawPointer?]
    private var productScratchBytes: [Int]

    /// Starts a team of `threads`, which sleep rather than spin between loops if the machine
    /// `yields` to more threads than it has cores.
    package init(threads: Int = 1, yields: Bool = false) {
        team = ThreadTeam(threads: threads, yields: yields, prepare: limitOpenMPToOneThread)
        var engine: dnnl_engine_t?
        check(dnnl_engine_create(&engine, dnnl_cpu, 0), "dnnl_engine_create")
        guard let engine else { fatalError("oneDNN gave no CPU engine") }
        self.engine = engine
        streams = (0..<threads).map { _ in
            var stream: dnnl_stream_t?
            check(
                dnnl_stream_create(&stream, engine, dnnl_stream_default_flags.rawValue),
                "dnnl_stream_create")
            guard let stream else { fatalError("oneDNN gave no stream") }
            return stream
        }
        scratch = Array(repeating: nil, count: threads)
        scratchCounts = Array(repeating: 0, count: threads)
        productScratch = Array(repeating: nil, count: threads)
        productScratchBytes = Array(repeating: 0, count: threads)
    }

    deinit {
        for stream in streams { dnnl_stream_destroy(stream) }
        dnnl_engine_destroy(engine)
        for pointer in scratch { free(pointer) }
        for pointer in productScratch { free(pointer) }
    }

    /// Threads that work on one kernel.
    package var threadCount: Int { team.threadCount }

    func stream(_ thread: Int) -> dnnl_stream_t { streams[thread] }

    /// Makes sure that every thread has scratch for `count` floats; called when shapes are planned.
    func reserveScratch(_ count: Int) {
        for thread in 0..<threadCount where scratchCounts[thread] < count {
            free(scratch[thread])
            scratch[thread] = allocate(bytes: count * MemoryLayout<Float>.stride)
                .bindMemory(to: Float.self, capacity: count)
            scratchCounts[thread] = count
        }
    }

    /// A thread's scratch; its contents are undefined between two tiles.
    func scratch(_ thread: Int) -> UnsafeMutablePointer<Float> {
        guard let pointer = scratch[thread] else { fatalError("scratch was never reserved") }
        return pointer
    }

    func reserveProductScratch(bytes: Int) {
        for thread in 0..<threadCount where productScratchBytes[thread] < bytes {
            free(productScratch[thread])
            productScratch[thread] = allocate(bytes: bytes)
            productScratchBytes[thread] = bytes
        }
    }

    func productScratch(_ thread: Int) -> UnsafeMutableRawPointer? { productScratch[thread] }
}

private func allocate(bytes: Int) -> UnsafeMutableRawPointer {
    var memory: UnsafeMutableRawPointer?
    guard posix_memalign(&memory, 4096, max(bytes, 64)) == 0, let memory else {
        fatalError("out of memory: \(bytes) bytes")
    }
    return memory
}

/// Debian's oneDNN is built on OpenMP; a team thread must not start a second team inside its tile.
private let limitOpenMPToOneThread: @Sendable () -> Void = {
    typealias SetThreadCount = @convention(c) (Int32) -> Void
    guard let symbol = dlsym(nil, "omp_set_num_threads") else { return }
    unsafeBitCast(symbol, to: SetThreadCount.self)(1)
}

/// oneDNN's calls fail only on a programmer's mistake or when memory runs out.
func check(_ status: dnnl_status_t, _ call: StaticString) {
    guard status == dnnl_success else {
        fatalError("\(call) failed with status \(status.rawValue)")
    }
}

/// oneDNN's version and the instruction set it chose on this machine.
package func oneDNNDescription() -> (version: String, instructionSet: String) {
    let version = dnnl_version().pointee
    let sets: [(UInt32, String)] = [
        (dnnl_cpu_isa_avx512_core_amx.rawValue, "AVX-512 with AMX"),
        (dnnl_cpu_isa_avx512_core_bf16.rawValue, "AVX-512 with bf16"),
        (dnnl_cpu_isa_avx512_core_vnni.rawValue, "AVX-512 with VNNI"),
        (dnnl_cpu_isa_avx512_core.rawValue, "AVX-512"),
        (dnnl_cpu_isa_avx2_vnni.rawValue, "AVX2 with VNNI"),
        (dnnl_cpu_isa_avx2.rawValue, "AVX2"),
        (dnnl_cpu_isa_avx.rawValue, "AVX"),
        (dnnl_cpu_isa_sse41.rawValue, "SSE4.1"),
    ]
    let effective = dnnl_get_effective_cpu_isa().rawValue
    let name = sets.first { $0.0 == effective }?.1 ?? "baseline"
    return ("\(version.major).\(version.minor).\(version.patch)", name)
}
