package ai.winnow.kernel;

import ai.winnow.tensor.Operands;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * The threads of a model. A run leases them if they are free, else it runs alone on its own thread with the same bits: work is
 * always split into the same parts, whoever takes them. Workers wait for the next part spinning for at most 20 microseconds,
 * then parked: Winnow is a guest in someone's JVM.
 */
public final class Workers implements AutoCloseable {

    private static final long SPIN_NANOS = 20_000;
    private static final Task IDLE = (operands, workspace, part, parts) -> {};
    private static final Operands NO_OPERANDS = Operands.of(List.of(), List.of());

    /** A piece of work that is cut into parts. Implemented by kernels themselves, so that no call allocates. */
    public interface Task {
        /** Computes part {@code part} of {@code parts}. */
        void run(Operands operands, Workspace workspace, int part, int parts);
    }

    /** The right to run parts, held by one run at a time. */
    public final class Lease {
        private final boolean alone;

        private Lease(boolean alone) {
            this.alone = alone;
        }

        /** Threads that take parts at the same time, the caller's included: a good number of parts. */
        public int threads() {
            return alone ? 1 : threads;
        }

        /** Runs all parts and returns when the last is done. The caller takes its share. */
        public void run(Task task, Operands operands, Workspace workspace, int parts) {
            if (alone || parts == 1 || threads == 1 || closed) {
                for (int part = 0; part < parts; part++) {
                    task.run(operands, workspace, part, parts);
                }
            } else {
                dispatch(task, operands, workspace, parts);
            }
        }
    }

    private final int threads;
    private final Thread[] workers;
    private final AtomicBoolean leased = new AtomicBoolean();
    private final Lease shared = new Lease(false);
    private final Lease single = new Lease(true);

    // What the workers run; published by the volatile write to epoch.
    private Task task = IDLE;
    private Operands operands = NO_OPERANDS;
    private @Nullable Workspace workspace;
    private int parts;
    private volatile int epoch;
    private volatile boolean closed;
    private final Progress[] progress;

    /** A worker's last finished epoch, padded to its own cache lines, and what it failed with. */
    private static final class Progress {
        @SuppressWarnings("unused")
        private long p0, p1, p2, p3, p4, p5, p6, p7;

        volatile int done;
        volatile boolean parked;
        volatile @Nullable Throwable failure;

        @SuppressWarnings("unused")
        private long q0, q1, q2, q3, q4, q5, q6, q7;
    }

    /** @param threads threads that compute at the same time, the caller's included; at most the processors of this container */
    public Workers(int threads) {
        this.threads = Math.clamp(threads, 1, Runtime.getRuntime().availableProcessors());
        this.workers = new Thread[this.threads - 1];
        this.progress = new Progress[workers.length];
        for (int i = 0; i < workers.length; i++) {
            int index = i;
            progress[i] = new Progress();
            workers[i] = Thread.ofPlatform()
                    .name("winnow-worker-" + (i + 1))
                    .daemon(true)
                    .unstarted(() -> work(index));
        }
        for (Thread worker : workers) {
            worker.start();
        }
    }

    /** Threads that compute at the same time, the caller's included. */
    public int threads() {
        return threads;
    }

    /** Leases the threads, or the caller's own thread alone if another run has them. Give it back with {@link #release}. */
    public Lease lease() {
        return leased.compareAndSet(false, true) ? shared : single;
    }

    public void release(Lease lease) {
        if (lease == shared) {
            leased.set(false);
        }
    }

    private void dispatch(Task newTask, Operands newOperands, Workspace newWorkspace, int newParts) {
        task = newTask;
        operands = newOperands;
        workspace = newWorkspace;
        parts = newParts;
        int now = epoch + 1;
        epoch = now;
        for (int i = 0; i < workers.length; i++) {
            if (progress[i].parked) {
                LockSupport.unpark(workers[i]);
            }
        }
        boolean done = false;
        try {
            runParts(newTask, newOperands, newWorkspace, newParts, 0);
            done = true;
        } finally {
            await(now);
            Throwable failure = takeFailure();
            forget();
            if (done && failure != null) {
                rethrow(failure);
            }
        }
    }

    private void runParts(Task t, Operands o, Workspace w, int count, int first) {
        for (int part = first; part < count; part += threads) {
            t.run(o, w, part, count);
        }
    }

    @SuppressWarnings(
            "ThreadPriorityCheck") // nothing is decided by it: a worker may wait for the processor this thread spins on
    private void await(int now) {
        for (Progress each : progress) {
            long start = System.nanoTime();
            while (each.done != now) {
                // A worker that lost its processor to another process needs ours.
                if (System.nanoTime() - start < SPIN_NANOS) {
                    Thread.onSpinWait();
                } else {
                    Thread.yield();
                }
            }
        }
    }

    /** The first worker's failure in this run, if any failed; none is left for the next run. */
    private @Nullable Throwable takeFailure() {
        Throwable first = null;
        for (Progress each : progress) {
            first = first == null ? each.failure : first;
            each.failure = null;
        }
        return first;
    }

    /** Lets go of a session's memory: idle workers must not keep it. */
    private void forget() {
        task = IDLE;
        operands = NO_OPERANDS;
        workspace = null;
    }

    private static void rethrow(Throwable failure) {
        switch (failure) {
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            default -> throw new IllegalStateException(failure);
        }
    }

    private void work(int index) {
        Progress mine = progress[index];
        int seen = 0;
        while (true) {
            seen = waitForEpoch(mine, seen);
            if (closed) {
                return;
            }
            try {
                runParts(task, operands, Objects.requireNonNull(workspace), parts, index + 1);
            } catch (RuntimeException | Error e) {
                mine.failure = e;
            }
            mine.done = seen;
        }
    }

    private int waitForEpoch(Progress mine, int seen) {
        long start = System.nanoTime();
        while (epoch == seen && !closed) {
            if (System.nanoTime() - start < SPIN_NANOS) {
                Thread.onSpinWait();
            } else {
                mine.parked = true;
                if (epoch == seen && !closed) {
                    LockSupport.park(this);
                }
                mine.parked = false;
            }
        }
        return epoch;
    }

    /** Ends the threads. Runs that are under way must have ended; later ones run on their caller's thread alone. */
    @Override
    public void close() {
        closed = true;
        for (Thread worker : workers) {
            LockSupport.unpark(worker);
        }
    }
}
