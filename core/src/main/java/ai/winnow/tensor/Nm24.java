package ai.winnow.tensor;

import ai.winnow.ArtefactException;
import ai.winnow.ShapeException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;

/**
 * A matrix {@code [out, in]} pruned 2:4 (of every four neighbouring inputs of an output at most two have a weight) in the portable
 * form that files hold and that backends convert to their own: two values and a code of 4 bits for every four inputs. {@code in}
 * must be a multiple of 16.
 *
 * <p>A code holds the places of the two values in their group, two bits each, the first in the low bits, the first less than the
 * second; a group with fewer than two weights is filled up with zeros. The codes of four groups share 16 bits, the first in the
 * lowest: the natural, unpermuted order of the metadata of {@code mma.sp} (PTX ISA). So rows (1,1,0,0) give 0x4444, (0,0,1,1)
 * 0xEEEE, (1,0,1,0) 0x8888.
 *
 * @param values {@code [out, in / 2]}, row-major
 * @param codes I16 {@code [out, in / 16]}, row-major
 */
public record Nm24(Tensor values, Tensor codes) {

    private static final int GROUP = 4;
    private static final int CODED = 16;

    public Nm24 {
        TensorSpec spec = values.spec();
        if (spec.shape().rank() != 2
                || !spec.dtype().isFloat()
                || codes.dtype() != DType.I16
                || codes.shape().rank() != 2
                || codes.shape().max(0) != spec.shape().max(0)
                || codes.shape().max(1) * 8 != spec.shape().max(1)) {
            throw new ShapeException("a 2:4 matrix has values [out, in / 2] and codes I16 [out, in / 16], these are "
                    + spec + " and " + codes.spec());
        }
    }

    /**
     * Packs a matrix of {@code [out, in]}.
     *
     * @param name the weight, for errors
     * @throws ArtefactException naming row and column, if a group has more than two weights
     */
    public static Nm24 compress(String name, Tensor dense, Arena arena) {
        int rows = SparseSource.rows(dense.spec());
        int columns = SparseSource.columns(dense.spec());
        if (columns % CODED != 0) {
            throw new ShapeException(
                    "weight '" + name + "': 2:4 takes inputs in multiples of 16, this is " + dense.spec());
        }
        SparseSource elements = new SparseSource(name, dense, dense.dtype());
        Tensor values = Tensor.allocate(arena, dense.dtype(), rows, columns / 2);
        Tensor codes = Tensor.allocate(arena, DType.I16, rows, columns / CODED);
        for (int row = 0; row < rows; row++) {
            for (int group = 0; group < columns / GROUP; group++) {
                int code = code(elements, row, GROUP * group);
                long word = 2L * ((long) row * (columns / CODED) + group / 4);
                int before = codes.segment().get(ValueLayout.JAVA_SHORT_UNALIGNED, word);
                codes.segment()
                        .set(ValueLayout.JAVA_SHORT_UNALIGNED, word, (short) (before | (code << (4 * (group % 4)))));
                for (int i = 0; i < 2; i++) {
                    float value = elements.at(row, GROUP * group + ((code >> (2 * i)) & 3));
                    values.dtype().setFloat(values.segment(), (long) row * columns / 2 + 2L * group + i, value);
                }
            }
        }
        return new Nm24(values, codes);
    }

    /** The places of the two values of a group; where there are fewer weights, of zeros that keep the places ascending. */
    private static int code(SparseSource elements, int row, int column) {
        int first = -1;
        int second = -1;
        for (int i = 0; i < GROUP; i++) {
            if (elements.at(row, column + i) != 0) {
                if (second >= 0) {
                    throw new ArtefactException("weight '" + elements.name()
                            + "' is not 2:4: a third weight of its group of four is at row " + row + ", column "
                            + (column + i));
                }
                second = first >= 0 ? i : second;
                first = first >= 0 ? first : i;
            }
        }
        if (second < 0) { // one weight or none: zeros at the places that PyTorch's conversion takes
            second = first == 0 || first == 1 ? 2 : 3;
            first = Math.min(first < 0 ? 2 : first, 2);
        }
        return first | (second << 2);
    }

    /**
     * The row-major matrix {@code [out, in]}.
     *
     * @param name the weight, for errors
     * @throws ArtefactException if a code does not name two ascending places
     */
    public Tensor decompress(String name, Arena arena) {
        long rows = values.shape().max(0);
        long columns = 2 * values.shape().max(1);
        Tensor dense = Tensor.allocate(arena, values.dtype(), rows, columns);
        decompress(name, dense);
        return dense;
    }

    /** The same into {@code dense}, row-major {@code [out, in]} of any float type, zeroed. */
    public void decompress(String name, Tensor dense) {
        long rows = values.shape().max(0);
        long columns = 2 * values.shape().max(1);
        if (!dense.shape().equals(Shape.of(rows, columns))) {
            throw new ShapeException(
                    "weight '" + name + "': 2:4 values " + values.spec() + " do not make " + dense.spec());
        }
        for (long row = 0; row < rows; row++) {
            for (long group = 0; group < columns / GROUP; group++) {
                long word = 2 * (row * (columns / CODED) + group / 4);
                int code = codes.segment().get(ValueLayout.JAVA_SHORT_UNALIGNED, word) >> (4 * (group % 4));
                int first = code & 3;
                int second = (code >> 2) & 3;
                if (first >= second) {
                    throw new ArtefactException("weight '" + name + "' is damaged: the 2:4 code at row " + row
                            + ", columns " + GROUP * group + " to " + (GROUP * group + 3) + " names places " + first
                            + " and " + second + ", expected ascending ones");
                }
                long from = row * columns / 2 + 2 * group;
                long to = row * columns + GROUP * group;
                dense.dtype().setFloat(dense.segment(), to + first, values.getFloat(from));
                dense.dtype().setFloat(dense.segment(), to + second, values.getFloat(from + 1));
            }
        }
    }
}
