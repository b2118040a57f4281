package ai.winnow.ir;

import ai.winnow.ShapeException;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/**
 * Side data of cached keys that a method declares: {@code width} numbers for each {@code unit} keys of a page. A page of a plane goes with
 * the page of keys of the same number, so it follows it through every fork, copy and release. It is written in the steps that append its keys,
 * each unit anew from all keys that it then has: what a plane holds depends on nothing but its page's keys, and a sequence that is taken back
 * needs no other care.
 *
 * <p>A page is {@code [width, units]}: number {@code j} of all units of the page lies together.
 *
 * @param name unique among the planes of a policy; letters, digits, '-' and '.'
 * @param dtype F32 or BF16
 * @param width numbers of a unit
 * @param unit keys of a unit: 1, 16, 32 or 64
 */
public record KvPlane(String name, DType dtype, int width, int unit) {

    private static final String PREFIX = "kv.plane.";

    public KvPlane {
        if (!name.matches("[A-Za-z0-9.-]+") || width < 1 || (dtype != DType.F32 && dtype != DType.BF16)) {
            throw new ShapeException(
                    "not a plane of a cache: '" + name + "' of " + width + " numbers of " + dtype + " a unit");
        }
        requireUnit(unit);
    }

    static void requireUnit(int unit) {
        Inference.require(
                unit == 1 || unit == 16 || unit == 32 || unit == KvShape.PAGE_ROWS,
                () -> "keys are taken in units of 1, 16, 32 or " + KvShape.PAGE_ROWS + ", not " + unit);
    }

    /** Units of a page. */
    public int units() {
        return KvShape.PAGE_ROWS / unit;
    }

    /** Elements of a page. */
    public long pageElements() {
        return (long) width * units();
    }

    /** Bytes of a page. */
    public long pageBytes() {
        return dtype.bytes(pageElements());
    }

    /** The element of a pool of this plane that holds number {@code j} of unit {@code unitOfPage} of page {@code page}. */
    public long at(int page, int j, int unitOfPage) {
        return page * pageElements() + (long) j * units() + unitOfPage;
    }

    /** What a graph takes: {@code [pages, width, units]}. */
    public TensorSpec spec() {
        return TensorSpec.rows(dtype, new Dim.AtMost(Integer.MAX_VALUE, StandardInputs.Kv.POOL), width, units());
    }

    /** The plane as an input of the graph that {@code builder} records; the same value each time. */
    public Value declare(GraphBuilder builder) {
        return builder.sharedInput(inputName(), spec());
    }

    /** How the plane is named among the inputs of graphs. */
    public String inputName() {
        return PREFIX + name;
    }

    /** The planes among the inputs of {@code graph}. */
    public static List<KvPlane> of(Graph graph) {
        return graph.inputs().stream()
                .filter(input -> input.name().startsWith(PREFIX))
                .map(KvPlane::of)
                .toList();
    }

    private static KvPlane of(Value input) {
        int units = Math.toIntExact(input.spec().shape().max(2));
        return new KvPlane(
                input.name().substring(PREFIX.length()),
                input.spec().dtype(),
                Math.toIntExact(input.spec().shape().max(1)),
                KvShape.PAGE_ROWS / units);
    }
}
