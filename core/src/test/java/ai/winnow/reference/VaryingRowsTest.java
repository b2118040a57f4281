package ai.winnow.reference;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.ir.Op;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.KernelRequest;
import ai.winnow.kernel.Support;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Operands.Operand;
import ai.winnow.tensor.Shape;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Kernels compute the rows that there are now, and leave the rest of the memory alone. */
class VaryingRowsTest {

    private static final Dim ROWS = new Dim.AtMost(3, "rows");
    private static final float UNTOUCHED = -99;

    private final Arena arena = Arena.ofConfined();

    @AfterEach
    void close() {
        arena.close();
    }

    private static Arguments op(Op op, float... expected) {
        return Arguments.of(op, expected);
    }

    /** On x = [1 2; 3 4; 5 6], of which two rows are there. */
    static Stream<Arguments> ops() {
        return Stream.of(
                op(new Primitive.Unary(Primitive.Unary.Function.NEG), -1, -2, -3, -4, UNTOUCHED, UNTOUCHED),
                op(new Primitive.Cast(DType.F32), 1, 2, 3, 4, UNTOUCHED, UNTOUCHED),
                op(new Primitive.Constant(7, TensorSpec.rows(DType.F32, ROWS, 2)), 7, 7, 7, 7, UNTOUCHED, UNTOUCHED),
                op(new Primitive.CumulativeSum(), 1, 3, 3, 7, UNTOUCHED, UNTOUCHED),
                op(new Primitive.Reshape(Shape.rows(ROWS, 2, 1)), 1, 2, 3, 4, UNTOUCHED, UNTOUCHED),
                op(new Primitive.Transpose(List.of(0, 1)), 1, 2, 3, 4, UNTOUCHED, UNTOUCHED),
                op(new Primitive.Slice(1, 1, 2), 2, 4, UNTOUCHED),
                op(new Primitive.Concat(1), 1, 2, 3, 4, UNTOUCHED, UNTOUCHED),
                op(new Primitive.Reduce(Primitive.Reduce.Reduction.SUM, 1), 3, 7, UNTOUCHED),
                op(new Primitive.Reduce(Primitive.Reduce.Reduction.SUM, 0), 4, 6),
                op(new Primitive.ArgMax(), 1, 1, UNTOUCHED));
    }

    @ParameterizedTest
    @MethodSource("ops")
    void onlyTheRowsThatAreThere(Op op, float[] expected) {
        MemorySegment extent = Tensor.copyOf(arena, new int[] {2}, 1).segment();
        Tensor x = Tensor.wrap(
                Tensor.copyOf(arena, new float[] {1, 2, 3, 4, 5, 6}, 6).segment(), TensorSpec.rows(DType.F32, ROWS, 2));
        boolean reads = !(op instanceof Primitive.Constant);
        List<TensorSpec> specs = reads ? List.of(x.spec()) : List.of();
        TensorSpec made = op.infer(specs).getFirst();
        Tensor y = Tensor.allocate(arena, made, Layout.ROW_MAJOR);
        for (int i = 0; i < expected.length; i++) {
            made.dtype().setFloat(y.segment(), i, UNTOUCHED);
        }
        List<Operand> inputs = reads ? List.of(new Operand(x, extent)) : List.of();
        boolean varies = made.shape().rowDim() instanceof Dim.AtMost;
        kernel(op, specs).run(new Operands(inputs, List.of(new Operand(y, varies ? extent : null))), workspace());
        assertThat(y.toFloats()).containsExactly(expected);
    }

    private Kernel kernel(Op op, List<TensorSpec> specs) {
        KernelRequest request = new KernelRequest(
                op,
                Site.global(Role.OTHER),
                Phase.PREFILL,
                specs,
                specs.stream().map(spec -> false).toList(),
                op.infer(specs));
        Support.Supported supported = (Support.Supported) new ReferenceProvider().kernelFor(request);
        return supported
                .factory()
                .create(specs.stream().map(spec -> (Layout) Layout.ROW_MAJOR).toList());
    }

    private Workspace workspace() {
        try (Workers workers = new Workers(1)) {
            return new Workspace(arena.allocate(1), workers.lease());
        }
    }

    @Test
    void compositeAndUnreadableRequestsAreRefusedWithASentence() {
        Op composite = new ai.winnow.ir.Activation(ai.winnow.ir.Activation.Kind.SILU);
        assertThat(refusal(composite, DType.F32)).contains("SILU").contains("decomposed");
        assertThat(refusal(new Primitive.Cast(DType.F32), DType.F8_E4M3)).contains("F8_E4M3");
    }

    private static String refusal(Op op, DType type) {
        List<TensorSpec> specs = List.of(TensorSpec.of(type, 2, 2));
        KernelRequest request =
                new KernelRequest(op, Site.global(Role.OTHER), Phase.PREFILL, specs, List.of(false), op.infer(specs));
        return ((Support.Refused) new ReferenceProvider().kernelFor(request)).reason();
    }
}
