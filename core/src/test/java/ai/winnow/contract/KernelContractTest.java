package ai.winnow.contract;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.ir.Linear;
import ai.winnow.ir.MaskedLinear;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive;
import ai.winnow.ir.SparseLinear;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.KernelProvider;
import ai.winnow.kernel.KernelRequest;
import ai.winnow.kernel.Support;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;

/** The contract finds every kind of fault it is there for. */
class KernelContractTest {

    private static final OpCase ADD = OpCases.binary(Phase.DECODE, 2, 5, Primitive.Binary.Operator.ADD);
    private static final OpCase LINEAR = LinearCases.linear(Phase.DECODE, 2, 17, 5, DType.F32, true);
    private static final OpCase APPEND = AttentionCases.all().stream()
            .filter(declared -> declared.name().startsWith("KvAppend"))
            .findFirst()
            .orElseThrow();

    /** What a kernel does. */
    private interface Body {
        void run(Kernel honest, Operands operands, Workspace workspace);
    }

    /** The naive backend with {@code body} instead of the kernels of ops that {@code where} names. */
    private record Faulty(Predicate<KernelRequest> where, Body body) implements KernelProvider {
        @Override
        public String name() {
            return "faulty";
        }

        @Override
        public int rank() {
            return 1;
        }

        @Override
        public Availability probe() {
            return new Availability.Ready("");
        }

        @Override
        public Support kernelFor(KernelRequest request) {
            Support support = new NaiveProvider().kernelFor(request);
            return support instanceof Support.Supported honest && where.test(request)
                    ? new Support.Supported(
                            honest.layouts(), layouts -> kernel(honest.factory().create(layouts)))
                    : support;
        }

        private Kernel kernel(Kernel honest) {
            return new Kernel() {
                @Override
                public String name() {
                    return "faulty";
                }

                @Override
                public void run(Operands operands, Workspace workspace) {
                    body.run(honest, operands, workspace);
                }
            };
        }
    }

    private static final class Contract extends KernelContract {
        private final KernelProvider provider;
        private final List<OpCase> cases;

        private Contract(KernelProvider provider, List<OpCase> cases) {
            this.provider = provider;
            this.cases = cases;
        }

        @Override
        protected KernelProvider provider() {
            return provider;
        }

        @Override
        protected List<OpCase> cases() {
            return cases;
        }

        @Override
        protected Duration patience() {
            return Duration.ofSeconds(1);
        }
    }

    /** Messages of the tests that fail. */
    private static List<String> failures(
            KernelProvider provider, OpCase declared, Function<KernelContract, Stream<DynamicTest>> rule) {
        Contract contract = new Contract(provider, List.of(declared));
        try {
            return rule.apply(contract).flatMap(KernelContractTest::failure).toList();
        } finally {
            contract.closeWorkers();
        }
    }

    @SuppressWarnings("CatchAndPrintStackTrace")
    private static Stream<String> failure(DynamicTest test) {
        try {
            test.getExecutable().execute();
            return Stream.empty();
        } catch (Throwable e) {
            return Stream.of(String.valueOf(e.getMessage()));
        }
    }

    private static List<String> failures(
            OpCase declared, Function<KernelContract, Stream<DynamicTest>> rule, Body body) {
        return failures(new Faulty(request -> true, body), declared, rule);
    }

    /** Runs the honest kernel, then spoils the first element of its output by {@code factor}. */
    private static Body scaled(float factor) {
        return (honest, operands, workspace) -> {
            honest.run(operands, workspace);
            float first = operands.output(0).getFloat(0);
            DType.F32.setFloat(operands.out(0), 0, first * factor);
        };
    }

    @Test
    void aWrongNumberIsFound() {
        assertThat(failures(LINEAR, KernelContract::theResultIsTheReferences, scaled(1)))
                .isEmpty();
        assertThat(failures(LINEAR, KernelContract::theResultIsTheReferences, scaled(1.0001f)))
                .hasSize(2) // in both layouts
                .allMatch(message -> message.contains("result 0, element 0 is"));
    }

    @Test
    void aWrongBitOfStateIsFound() {
        assertThat(failures(APPEND, KernelContract::theResultIsTheReferences, (honest, operands, workspace) -> {
                    honest.run(operands, workspace);
                    operands.in(5).set(java.lang.foreign.ValueLayout.JAVA_BYTE, 0, (byte) 3);
                }))
                .hasSize(1);
    }

    @Test
    void aRowTooManyIsFound() {
        assertThat(failures(ADD, KernelContract::theResultIsTheReferences, (honest, operands, workspace) -> {
                    honest.run(operands, workspace);
                    DType.F32.setFloat(operands.out(0), 2 * 5, 0);
                }))
                .singleElement()
                .asString()
                .contains("first byte written outside");
    }

    @Test
    void aChangedInputIsFound() {
        assertThat(failures(ADD, KernelContract::theResultIsTheReferences, (honest, operands, workspace) -> {
                    honest.run(operands, workspace);
                    DType.F32.setFloat(operands.in(1), 3, 7);
                }))
                .singleElement()
                .asString()
                .contains("first byte of input 1");
    }

    @Test
    void bitsThatChangeFromRunToRunAreFound() {
        Set<Operands> seen = new HashSet<>();
        assertThat(failures(LINEAR, KernelContract::everyRunAndAnyNumberOfThreadsGiveTheSameBits, (h, o, w) -> scaled(
                                seen.add(o) ? 1 : 1.0000001f)
                        .run(h, o, w)))
                .hasSize(2);
    }

    @Test
    void bitsThatDependOnTheThreadsAreFound() {
        Body byThreads =
                (h, o, w) -> scaled(w.workers().threads() == 1 ? 1 : 1.0000001f).run(h, o, w);
        int found = Runtime.getRuntime().availableProcessors() > 1 ? 2 : 0;
        assertThat(failures(LINEAR, KernelContract::everyRunAndAnyNumberOfThreadsGiveTheSameBits, byThreads))
                .hasSize(found);
    }

    @Test
    void aDroppedNaNIsFound() {
        assertThat(failures(LINEAR, KernelContract::nanInTheFirstInputIsNeverDropped, (honest, operands, workspace) -> {
                    honest.run(operands, workspace);
                    DType.F32.setFloat(operands.out(0), 0, 0);
                }))
                .hasSize(2);
    }

    @Test
    void aSparseTwinThatComputesOtherwiseIsFound() {
        KernelProvider sparse = new Faulty(request -> request.op() instanceof SparseLinear, scaled(1.0000002f));
        assertThat(failures(sparse, LINEAR, KernelContract::zeroStrengthEqualsDense))
                .hasSize(4);
        KernelProvider masked = new Faulty(request -> request.op() instanceof MaskedLinear, scaled(1.0000002f));
        assertThat(failures(masked, LINEAR, KernelContract::aMaskOfOnesEqualsDense))
                .hasSize(1);
    }

    @Test
    void anUnexpectedRefusalIsFound() {
        KernelProvider reference = new ai.winnow.reference.ReferenceProvider();
        assertThat(failures(reference, LINEAR, KernelContract::theResultIsTheReferences))
                .singleElement()
                .asString()
                .contains("reference refuses Linear");
        assertThat(LINEAR.op()).isInstanceOf(Linear.class);
    }

    @Test
    void allocationIsFound() {
        Body add = (honest, operands, workspace) -> {
            int count = operands.outRows(0) * 5;
            for (int i = 0; i < count; i++) {
                float sum = DType.F32.getFloat(operands.in(0), i) + DType.F32.getFloat(operands.in(1), i);
                DType.F32.setFloat(operands.out(0), i, sum);
            }
        };
        assertThat(failures(ADD, KernelContract::nothingIsAllocatedAfterWarmUp, add))
                .isEmpty();
        assertThat(failures(ADD, KernelContract::nothingIsAllocatedAfterWarmUp, (honest, operands, workspace) -> {
                    add.run(honest, operands, workspace);
                    leak = new byte[24];
                }))
                .singleElement()
                .asString()
                .contains("bytes allocated by a call");
    }

    @SuppressWarnings("unused") // escapes, so that the compiler cannot remove the allocation
    private static volatile byte[] leak = {};

    @Test
    void casesHaveNamesOfTheirOwn() {
        List<String> names = OpCases.all().stream().map(OpCase::name).toList();
        assertThat(names).doesNotHaveDuplicates();
    }
}
