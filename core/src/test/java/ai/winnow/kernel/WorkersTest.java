package ai.winnow.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.tensor.Operands;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;

class WorkersTest {

    private static final Operands NONE = Operands.of(List.of(), List.of());

    @Test
    void everyPartRunsOnceInEveryCall() {
        try (Workers workers = new Workers(2)) {
            Workers.Lease lease = workers.lease();
            Workspace workspace = workspace(lease);
            AtomicIntegerArray runs = new AtomicIntegerArray(7);
            for (int call = 0; call < 20_000; call++) {
                if (call % 5_000 == 0) {
                    LockSupport.parkNanos(1_000_000); // long enough for the workers to park
                }
                lease.run((operands, space, part, parts) -> runs.incrementAndGet(part), NONE, workspace, 7);
            }
            for (int part = 0; part < 7; part++) {
                assertThat(runs.get(part)).as("part %d", part).isEqualTo(20_000);
            }
            workers.release(lease);
        }
    }

    @Test
    void whatAPartWroteIsSeenWhenTheCallReturns() {
        try (Workers workers = new Workers(2);
                Arena arena = Arena.ofShared()) {
            MemorySegment sums = arena.allocate(8L * 64);
            Workers.Lease lease = workers.lease();
            Workspace workspace = new Workspace(sums, lease);
            for (int call = 1; call <= 5_000; call++) {
                int value = call;
                lease.run(
                        (operands, space, part, parts) ->
                                space.scratch().setAtIndex(java.lang.foreign.ValueLayout.JAVA_LONG, part, value),
                        NONE,
                        workspace,
                        8);
                for (int part = 0; part < 8; part++) {
                    assertThat(sums.getAtIndex(java.lang.foreign.ValueLayout.JAVA_LONG, part))
                            .isEqualTo(call);
                }
            }
            workers.release(lease);
        }
    }

    @Test
    void aSecondLeaseRunsAloneOnItsOwnThread() {
        try (Workers workers = new Workers(2)) {
            Workers.Lease first = workers.lease();
            Workers.Lease second = workers.lease();
            Set<Thread> threads = ConcurrentHashMap.newKeySet();
            second.run((o, w, part, parts) -> threads.add(Thread.currentThread()), NONE, workspace(second), 5);
            assertThat(threads).containsExactly(Thread.currentThread());
            assertThat(second.threads()).isOne();
            workers.release(second);
            workers.release(first);
            Workers.Lease third = workers.lease();
            assertThat(third.threads()).isEqualTo(workers.threads());
            workers.release(third);
        }
    }

    @Test
    void aPartThatFailsFailsTheCallAndTheNextCallRuns() {
        try (Workers workers = new Workers(2)) {
            Workers.Lease lease = workers.lease();
            for (int failing = 0; failing < 2; failing++) {
                int bad = failing;
                assertThatThrownBy(() -> lease.run(
                                (o, w, part, parts) -> {
                                    if (part == bad) {
                                        throw new IllegalStateException("part " + part);
                                    }
                                },
                                NONE,
                                workspace(lease),
                                2))
                        .isInstanceOf(IllegalStateException.class)
                        .hasMessage("part " + bad);
                AtomicInteger runs = new AtomicInteger();
                lease.run((o, w, part, parts) -> runs.incrementAndGet(), NONE, workspace(lease), 4);
                assertThat(runs).hasValue(4);
            }
            workers.release(lease);
        }
    }

    @Test
    void failuresOfSeveralPartsLeaveNothingForTheNextCall() {
        try (Workers workers = new Workers(2)) {
            Workers.Lease lease = workers.lease();
            assertThatThrownBy(() -> lease.run(
                            (o, w, part, parts) -> {
                                throw new IllegalStateException("part " + part);
                            },
                            NONE,
                            workspace(lease),
                            2))
                    .hasMessage("part 0");
            AtomicInteger runs = new AtomicInteger();
            lease.run((o, w, part, parts) -> runs.incrementAndGet(), NONE, workspace(lease), 4);
            assertThat(runs).hasValue(4);
            workers.release(lease);
        }
    }

    @Test
    void afterCloseTheCallerRunsAlone() {
        Workers workers = new Workers(2);
        workers.close();
        Workers.Lease lease = workers.lease();
        Set<Thread> threads = ConcurrentHashMap.newKeySet();
        lease.run((o, w, part, parts) -> threads.add(Thread.currentThread()), NONE, workspace(lease), 5);
        assertThat(threads).containsExactly(Thread.currentThread());
    }

    @Test
    void threadsAreNeverMoreThanProcessors() {
        try (Workers workers = new Workers(10_000)) {
            assertThat(workers.threads()).isEqualTo(Runtime.getRuntime().availableProcessors());
        }
    }

    private static Workspace workspace(Workers.Lease lease) {
        return new Workspace(MemorySegment.NULL, lease);
    }
}
