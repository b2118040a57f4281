package ai.winnow.sparsity.activation.wina;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.io.Artefact;
import ai.winnow.ir.Derivation;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.Linear;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.method.Rewrite;
import ai.winnow.method.SparsityMethod;
import ai.winnow.reference.Interpreter;
import ai.winnow.sparsity.activation.Allocation;
import ai.winnow.sparsity.activation.Mode;
import ai.winnow.sparsity.activation.teal.Teal;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.ejml.data.DMatrixRMaj;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The worked example of the method's card, and the theorem behind it. */
class WinaExampleTest {

    private static final float[] W = {3, 0.1f, 1, 0.2f, 4, 0.1f, 0, 0.1f}; // [2, 4]
    private static final float[] X = {0.2f, 0.9f, -0.5f, 0.8f};
    private static final float[] DENSE = {0.35f, 0.97f};

    private final Arena arena = Arena.ofConfined();

    @AfterEach
    void close() {
        arena.close();
    }

    /** One linear layer, a gate, after {@code method}. */
    private float[] run(SparsityMethod method, float[] weight, int out, float... x) {
        GraphBuilder builder = new GraphBuilder(Phase.DECODE);
        Value input = builder.input("x", TensorSpec.of(DType.F32, 1, x.length));
        WeightRef ref = WeightRef.model("w", TensorSpec.of(DType.F32, out, x.length));
        Graph graph = builder.build(
                List.of(builder.add(new Linear(false), Site.of(0, Role.GATE), input, builder.weight(ref))));
        for (Rewrite rewrite : method.rewrites(Artefact.EMPTY)) {
            graph = rewrite.change().apply(graph);
        }
        Tensor stored = Tensor.copyOf(arena, weight, out, x.length);
        return Interpreter.run(
                        graph,
                        Map.of("x", Tensor.copyOf(arena, x, 1, x.length)),
                        wanted -> weight(wanted, stored),
                        arena)
                .getFirst()
                .toFloats();
    }

    private Tensor weight(WeightRef ref, Tensor stored) {
        Derivation derivation = ref.derivation();
        if (derivation == null) {
            return stored;
        }
        Tensor result = Tensor.allocate(arena, ref.spec(), Layout.ROW_MAJOR);
        derivation.compute(List.of(stored), result);
        return result;
    }

    private static double error(float[] found, float[] expected) {
        double squares = 0;
        for (int i = 0; i < found.length; i++) {
            squares += Math.pow((double) found[i] - expected[i], 2);
        }
        return Math.sqrt(squares);
    }

    @Test
    void scoresByColumnNormsKeepTheFirstAndThird() {
        float[] y = run(Wina.topK(0.5f).unrotated(), W, 2, X);
        assertThat(y).containsExactly(new float[] {0.1f, 0.8f}, within(1e-6f));
        assertThat(error(y, DENSE)).isCloseTo(0.3023, within(5e-5));
    }

    @Test
    void magnitudesAloneKeepTheSecondAndFourth() {
        float[] y = run(new Teal(0.5f, Allocation.UNIFORM, Mode.TOPK), W, 2, X);
        assertThat(y).containsExactly(new float[] {0.25f, 0.17f}, within(1e-6f));
        assertThat(error(y, DENSE)).isCloseTo(0.8062, within(5e-5));
    }

    @Test
    void noInputKeptGivesZero() {
        assertThat(run(Wina.topK(0.8f).unrotated(), W, 2, X)).containsExactly(0, 0);
    }

    @Test
    void equalScoresKeepTheLowestIndices() {
        float[] ones = {1, 1, 1, 1};
        assertThat(run(Wina.topK(0.5f).unrotated(), new float[] {1, 10, 100, 1000}, 1, 1, 0.1f, 0.01f, 0.001f))
                .containsExactly(2);
        assertThat(run(Wina.topK(0.5f).unrotated(), ones, 1, 3, -3, 3, 3)).containsExactly(0);
    }

    @Test
    void afterTheRotationTwoInputsAreExact() {
        DMatrixRMaj matrix = new DMatrixRMaj(2, 4);
        for (int i = 0; i < 8; i++) {
            matrix.set(i, W[i]);
        }
        Basis basis = Basis.rightSingular(matrix);
        assertThat(basis.values()).containsExactly(new double[] {5.0428, 0.80012, 0, 0}, within(5e-5));
        assertOrthonormal(basis.vectors());
        float[] rotatedX = new float[4];
        float[] rotatedW = new float[8];
        for (int column = 0; column < 4; column++) {
            for (int i = 0; i < 4; i++) {
                rotatedX[column] += (float) (X[i] * basis.vectors().get(i, column));
                for (int row = 0; row < 2; row++) {
                    rotatedW[4 * row + column] +=
                            (float) (W[4 * row + i] * basis.vectors().get(i, column));
                }
            }
            double norm = Math.hypot(rotatedW[column], rotatedW[4 + column]);
            assertThat(norm).isCloseTo(basis.values()[column], within(1e-6));
        }
        float[] y = run(Wina.topK(0.5f).unrotated(), rotatedW, 2, rotatedX);
        assertThat(y).containsExactly(DENSE, within(1e-6f));
    }

    @Test
    void bothBasesOfAWideAndOfAZeroMatrixAreWhole() {
        SplittableRandom random = new SplittableRandom(5);
        DMatrixRMaj wide = random(random, 3, 8);
        assertOrthonormal(Basis.rightSingular(wide).vectors());
        assertThat(Basis.rightSingular(wide).vectors().data)
                .containsExactly(Basis.rightSingular(wide.copy()).vectors().data);
        assertOrthonormal(Basis.rightSingular(random(random, 9, 8)).vectors());
        assertOrthonormal(Basis.rightSingular(new DMatrixRMaj(3, 5)).vectors());
    }

    private static DMatrixRMaj random(SplittableRandom random, int rows, int columns) {
        DMatrixRMaj matrix = new DMatrixRMaj(rows, columns);
        for (int i = 0; i < rows * columns; i++) {
            matrix.set(i, random.nextGaussian());
        }
        return matrix;
    }

    private static void assertOrthonormal(DMatrixRMaj vectors) {
        int width = vectors.getNumRows();
        assertThat(vectors.getNumCols()).isEqualTo(width);
        for (int a = 0; a < width; a++) {
            for (int b = 0; b < width; b++) {
                double dot = 0;
                for (int i = 0; i < width; i++) {
                    dot += vectors.get(i, a) * vectors.get(i, b);
                }
                assertThat(dot).isCloseTo(a == b ? 1 : 0, within(1e-12));
            }
        }
    }

    /** With orthogonal columns no other choice of as many inputs has a smaller error: all of them are tried. */
    @Test
    void withOrthogonalColumnsNoMaskIsBetter() {
        for (int in = 2; in <= 12; in++) {
            for (int seed = 0; seed < 5; seed++) {
                SplittableRandom random = new SplittableRandom(100L * in + seed);
                DMatrixRMaj axes = Basis.rightSingular(random(random, in, in)).vectors();
                float[] w = new float[in * in];
                float[] x = new float[in];
                for (int j = 0; j < in; j++) {
                    double scale = Math.exp(random.nextGaussian());
                    x[j] = (float) random.nextGaussian();
                    for (int i = 0; i < in; i++) {
                        w[i * in + j] = (float) (axes.get(i, j) * scale);
                    }
                }
                int keep = in / 2;
                float[] found = run(Wina.topK(1 - (float) keep / in).unrotated(), w, in, x);
                float[] dense = product(w, x, (1 << in) - 1);
                double best = Double.POSITIVE_INFINITY;
                for (int mask = 0; mask < 1 << in; mask++) {
                    if (Integer.bitCount(mask) == keep) {
                        best = Math.min(best, error(product(w, x, mask), dense));
                    }
                }
                assertThat(error(found, dense)).as("in %d, seed %d", in, seed).isCloseTo(best, within(1e-5));
            }
        }
    }

    private static float[] product(float[] w, float[] x, int mask) {
        float[] y = new float[w.length / x.length];
        for (int i = 0; i < y.length; i++) {
            double sum = 0;
            for (int j = 0; j < x.length; j++) {
                sum += (mask >> j & 1) == 0 ? 0 : (double) w[i * x.length + j] * x[j];
            }
            y[i] = (float) sum;
        }
        return y;
    }
}
