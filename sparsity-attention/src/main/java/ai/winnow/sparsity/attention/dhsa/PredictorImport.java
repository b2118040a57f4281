package ai.winnow.sparsity.attention.dhsa;

import ai.winnow.ArtefactException;
import ai.winnow.io.Artefact;
import ai.winnow.io.SafeTensors;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * Makes the artefact of {@link Dhsa} from a trained boundary predictor in a safetensors file. Tensors are known by their shapes and the
 * usual names of PyTorch's attention: {@code …in_proj_weight [3 * width, width]} and {@code …in_proj_bias}, {@code …out_proj.weight} and
 * {@code .bias}, a norm {@code [width]}, a layer {@code [hidden, 4 * width + 1]} and one {@code [1, hidden]}, each with {@code .weight}
 * and {@code .bias}.
 */
public final class PredictorImport {

    private static final String HEADS = "dhsa/predictor.heads";

    private PredictorImport() {}

    /**
     * Reads a predictor.
     *
     * @param heads heads of its attention, which no shape tells
     * @param fingerprint of the model it was trained for
     * @throws ArtefactException if the file does not hold one
     */
    public static Artefact read(Path file, int heads, String fingerprint) {
        try (SafeTensors source = SafeTensors.open(file)) {
            String projection = find(source, file, "in_proj_weight", 2, 0, 0);
            long width = size(source, projection, 1);
            String output = find(source, file, "out_proj.weight", 2, width, width);
            String hidden = find(source, file, ".weight", 2, 0, 4 * width + 1);
            long inner = size(source, hidden, 0);
            String logit = find(source, file, ".weight", 2, 1, inner);
            String norm = find(source, file, ".weight", 1, width, 0);
            if (heads < 1 || width % heads != 0) {
                throw new ArtefactException(
                        file + ": " + heads + " heads cannot share the " + width + " numbers of its attention");
            }
            List<String> names = new ArrayList<>();
            for (String name : List.of(projection, output, norm, hidden, logit)) {
                names.add(name);
                names.add(name.substring(0, name.length() - "weight".length()) + "bias");
            }
            Predictor predictor = new Predictor(Math.toIntExact(width), heads, Math.toIntExact(inner));
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            Iterator<String> from = names.iterator();
            predictor.weights().forEach((name, spec) -> tensors.put(name, load(source, file, from.next(), spec)));
            tensors.put(HEADS, Tensor.copyOf(Arena.ofAuto(), new int[] {heads}, 1));
            return new Artefact(
                    Dhsa.INFO.name(),
                    new TreeMap<>(Map.of("heads", String.valueOf(heads))),
                    fingerprint,
                    source.fingerprint(),
                    Instant.now().truncatedTo(ChronoUnit.SECONDS),
                    tensors);
        }
    }

    /** The predictor whose weights {@code artefact} has. */
    static Predictor predictor(Artefact artefact) {
        int heads = (int) artefact.tensor(HEADS).getFloat(0);
        long width = artefact.tensor("dhsa/predictor.out.bias").shape().max(0);
        long hidden = artefact.tensor("dhsa/predictor.hidden.bias").shape().max(0);
        Predictor predictor = new Predictor(Math.toIntExact(width), heads, Math.toIntExact(hidden));
        predictor.weights().forEach((name, wanted) -> {
            TensorSpec found = artefact.tensor(name).spec();
            if (!found.equals(wanted)) {
                throw new ArtefactException("'" + name + "' must be " + wanted + ", and is " + found);
            }
        });
        return predictor;
    }

    /** The only tensor of that name's end, rank and sizes, of which 0 may be any. */
    private static String find(SafeTensors source, Path file, String end, int rank, long rows, long columns) {
        List<String> found = source.names().stream()
                .filter(name -> name.endsWith(end))
                .filter(name -> {
                    TensorSpec spec = source.spec(name);
                    return spec != null
                            && spec.shape().rank() == rank
                            && (rows == 0 || spec.shape().max(0) == rows)
                            && (columns == 0 || spec.shape().max(1) == columns);
                })
                .toList();
        if (found.size() != 1) {
            throw new ArtefactException(file + ": a boundary predictor has one tensor '…" + end + "' of rank " + rank
                    + (rows == 0 ? "" : ", " + rows + " rows") + (columns == 0 ? "" : ", " + columns + " columns")
                    + ", here are " + found);
        }
        return found.getFirst();
    }

    private static long size(SafeTensors source, String name, int axis) {
        TensorSpec spec = source.spec(name);
        return spec == null ? 0 : spec.shape().max(axis);
    }

    private static Tensor load(SafeTensors source, Path file, String name, TensorSpec wanted) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor tensor = source.load(name, arena);
            if (!tensor.shape().equals(wanted.shape())) {
                throw new ArtefactException(
                        file + ": '" + name + "' must be " + wanted.shape() + ", and is " + tensor.shape());
            }
            float[] numbers = tensor.toFloats();
            long[] sizes = IntStream.range(0, wanted.shape().rank())
                    .mapToLong(axis -> wanted.shape().max(axis))
                    .toArray();
            return Tensor.copyOf(Arena.ofAuto(), numbers, sizes);
        }
    }
}
