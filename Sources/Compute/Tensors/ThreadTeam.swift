import Glibc
import Support
import Synchronization

/// A fixed team of threads, including the caller, that divides the tiles of one loop at a time.
///
/// Each thread begins with its own run of adjacent tiles, so that in successive loops a core works
/// on the rows that it has in cache, and then helps the other threads. Which thread runs which tile
/// is left to chance. Every tile writes its own part of the output, so the bits do not depend on
/// that. Calls must come from one thread at a time and must not nest.
package final class ThreadTeam: Sendable {
    /// The number of threads, including the caller.
    package let threadCount: Int

    private let loop: SharedLoop
    private let workers: [pthread_t]

    /// Whether idle workers sleep immediately.
    package let yields: Bool

    /// Starts `threads - 1` workers; if the system refuses one, the process ends with a message.
    ///
    /// Workers spin for their next loop for about a millisecond before they sleep, because waking
    /// takes longer than most loops, especially on a virtual machine. With `yields` (more threads
    /// than cores), they sleep immediately. With `bindsThreads`, each thread, including the caller,
    /// is bound to a core if the process may use as many cores as there are threads.
    package init(threads: Int, yields: Bool = false, bindsThreads: Bool = false) {
        precondition(threads >= 1, "a team needs at least one thread")
        threadCount = threads
        self.yields = yields
        loop = SharedLoop(threads: threads, sleepsAtOnce: yields)
        var workers: [pthread_t] = []
        let cores =
            bindsThreads && threads > 1 && CoreBinding.cores.count == threads
            ? CoreBinding.cores : []
        if let core = cores.first { CoreBinding.bindThisThread(to: core) }
        for thread in 1..<max(1, threads) {
            let start = ThreadStart { [loop] in
                if !cores.isEmpty { CoreBinding.bindThisThread(to: cores[thread]) }
                loop.work(as: thread)
            }
            var handle = pthread_t()
            let status = pthread_create(
                &handle, nil,
                { argument in
                    guard let argument else { return nil }
                    Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue().run()
                    return nil
                }, Unmanaged.passRetained(start).toOpaque())
            guard status == 0 else {
                Failure.about(
                    .configuration, "thread \(thread + 1) of \(threads)",
                    "cannot be started (\(systemMessage(status)))",
                    remedy: "use fewer threads per rank, or raise the limits on processes and "
                        + "memory (ulimit -u, ulimit -v)"
                ).endProcess()
            }
            workers.append(handle)
        }
        self.workers = workers
    }

    deinit {
        loop.stop()
        for worker in workers { pthread_join(worker, nil) }
    }

    /// Runs `body` once for every tile in `0..<tiles` and returns when all are done.
    ///
    /// The second argument is the index of the thread, in `0..<threadCount`, for scratch memory.
    @inline(__always)
    package func forEach(_ tiles: Int, _ body: (_ tile: Int, _ thread: Int) -> Void) {
        if threadCount == 1 || tiles == 1 {
            for tile in 0..<tiles { body(tile, 0) }
        } else {
            withoutActuallyEscaping(body) { loop.run(tiles, $0) }
        }
    }
}

/// The work of a new thread.
private final class ThreadStart {
    let run: () -> Void

    init(_ run: @escaping () -> Void) { self.run = run }
}

/// The current loop of a team, shared by its threads.
///
/// `body` and `tileCount` are plain memory: the caller writes them before it advances `generation`,
/// and workers read them after they have seen the new value, so no two threads access them at once.
private final class SharedLoop: @unchecked Sendable {
    typealias Body = (_ tile: Int, _ thread: Int) -> Void

    private var body: Body?
    private var tileCount = 0
    private let threads: Int
    /// The next tile of each thread's own run, a cache line apart.
    private let next: UnsafeMutablePointer<Atomic<Int>>
    private let cacheLine = 64 / MemoryLayout<Atomic<Int>>.stride
    private let generation = Atomic<Int>(0)
    private let working = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// The number of checks for an awaited change before a thread offers its core to others between
    /// two checks, and the number of checks after that before a worker sleeps.
    private let (spins, offers): (Int, Int)

    init(threads: Int, sleepsAtOnce: Bool) {
        self.threads = threads
        next = .allocate(capacity: threads * cacheLine)
        for index in 0..<threads * cacheLine { (next + index).initialize(to: Atomic(0)) }
        (spins, offers) = sleepsAtOnce ? (0, 0) : (20_000, 3000)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wake, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(wake)
        mutex.deallocate()
        wake.deallocate()
        next.deinitialize(count: threads * cacheLine)
        next.deallocate()
    }

    func run(_ tiles: Int, _ body: @escaping Body) {
        self.body = body
        tileCount = tiles
        for thread in 0..<threads {
            next[thread * cacheLine].store(firstTile(of: thread), ordering: .relaxed)
        }
        working.store(threads - 1, ordering: .relaxed)
        announce()
        takeTiles(as: 0)
        var spun = 0
        while working.load(ordering: .acquiring) > 0 {
            spun += 1
            if spun > spins { sched_yield() }
        }
        self.body = nil
    }

    func stop() {
        stopping.store(true, ordering: .releasing)
        announce()
    }

    func work(as thread: Int) {
        var seen = 0
        while true {
            waitForGeneration(after: seen)
            seen += 1
            if stopping.load(ordering: .acquiring) { return }
            takeTiles(as: thread)
            working.subtract(1, ordering: .releasing)
        }
    }

    private func announce() {
        pthread_mutex_lock(mutex)
        generation.add(1, ordering: .releasing)
        pthread_cond_broadcast(wake)
        pthread_mutex_unlock(mutex)
    }

    private func waitForGeneration(after seen: Int) {
        for look in 0..<spins + offers {
            if generation.load(ordering: .acquiring) != seen { return }
            if look >= spins { sched_yield() }
        }
        pthread_mutex_lock(mutex)
        while generation.load(ordering: .acquiring) == seen { pthread_cond_wait(wake, mutex) }
        pthread_mutex_unlock(mutex)
    }

    /// Returns the first tile of a thread's own run, which ends where the next thread's begins.
    private func firstTile(of thread: Int) -> Int { tileCount * thread / threads }

    private func takeTiles(as thread: Int) {
        guard let body else { return }
        for step in 0..<threads {
            let owner = (thread + step) % threads
            let end = firstTile(of: owner + 1)
            while true {
                let tile = next[owner * cacheLine].add(1, ordering: .relaxed).oldValue
                guard tile < end else { break }
                body(tile, thread)
            }
        }
    }
}
