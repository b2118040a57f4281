package ai.winnow.runtime;

import ai.winnow.ArtefactException;
import ai.winnow.io.TensorSource;
import ai.winnow.ir.Derivation;
import ai.winnow.ir.WeightRef;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The packed weights of a checkpoint, each in memory once for all models and sessions that share this object. A weight is loaded,
 * packed and let go of one by one, so that loading takes little more than what stays. An {@linkplain #overlay overlay} adds the
 * tensors of artefacts and shares everything else.
 */
public final class Weights implements AutoCloseable {

    private record Key(WeightRef ref, Layout layout) {}

    private final TensorSource source;
    private final @Nullable Weights base;
    private final boolean sharing;
    private final Map<String, Tensor> artefacts;
    private final Arena arena = Arena.ofShared();
    private final Map<Key, Tensor> packed = new HashMap<>();
    private long bytes;
    private int users = 1;

    /** Weights of {@code source}, which is closed with them. */
    public Weights(TensorSource source) {
        this(source, null, true, Map.of());
    }

    private Weights(TensorSource source, @Nullable Weights base, boolean sharing, Map<String, Tensor> artefacts) {
        this.source = source;
        this.base = base;
        this.sharing = sharing;
        this.artefacts = Map.copyOf(artefacts);
    }

    /** These weights and those of artefacts, by the names their {@link WeightRef} have. Closing it leaves these open. */
    public Weights overlay(Map<String, Tensor> tensors) {
        retain();
        return new Weights(source, this, true, tensors);
    }

    /**
     * The same weights, but packed anew in memory that goes when the result is closed: for work that for a while wants a few of
     * them in other layouts. Closing it leaves these open.
     */
    public Weights unshared() {
        retain();
        return new Weights(source, this, false, Map.of());
    }

    /** Counts one more user; each must close. */
    public synchronized Weights retain() {
        if (users == 0) {
            throw new IllegalStateException("these weights are closed");
        }
        users++;
        return this;
    }

    public TensorSource source() {
        return source;
    }

    /** Bytes of native memory that packed weights take, those of the base included. */
    public synchronized long bytes() {
        return bytes + (base == null ? 0 : base.bytes());
    }

    /**
     * A weight in the layout and the type of its reference, packed at the first call.
     *
     * @throws ArtefactException if there is no such weight, it holds numbers that are not finite, or is not zero where its
     *     structure says so
     */
    public synchronized Tensor get(WeightRef ref, Layout layout) {
        if (base != null && sharing && !needsArtefact(ref)) {
            return base.get(ref, layout);
        }
        Key key = new Key(ref, layout);
        Tensor known = packed.get(key);
        if (known != null) {
            return known;
        }
        Tensor target = Tensor.allocate(arena, ref.spec(), layout);
        try (Arena temporary = Arena.ofShared()) {
            Tensor loaded = load(ref, temporary);
            ref.structure().require(ref.name(), loaded);
            WeightPacker.pack(ref.name(), loaded, target);
        }
        bytes += layout.bytes(ref.spec());
        packed.put(key, target);
        return target;
    }

    /** A weight row-major as its source has it; a derived weight is computed. */
    public Tensor load(WeightRef ref, Arena temporary) {
        return switch (ref.source()) {
            case MODEL -> source.load(ref.name(), temporary);
            case ARTEFACT -> artefact(ref);
            case DERIVED -> derive(ref, Objects.requireNonNull(ref.derivation()), temporary);
        };
    }

    private Tensor artefact(WeightRef ref) {
        Tensor tensor = artefacts.get(ref.name());
        if (tensor != null) {
            return tensor;
        }
        if (base != null) {
            return base.artefact(ref);
        }
        throw new ArtefactException("no artefact of this policy holds '" + ref.name() + "' (" + ref.spec() + ")");
    }

    private Tensor derive(WeightRef ref, Derivation derivation, Arena temporary) {
        List<Tensor> sources = new ArrayList<>();
        for (WeightRef each : derivation.sources()) {
            // What is derived itself may serve many others (norms of columns, say): it is computed once and stays.
            sources.add(
                    each.source() == WeightRef.Source.DERIVED ? get(each, Layout.ROW_MAJOR) : load(each, temporary));
        }
        TensorSpec spec = ref.spec().dtype().isFloat() ? ref.spec().withDType(DType.F32) : ref.spec();
        Tensor result = Tensor.allocate(temporary, spec, Layout.ROW_MAJOR);
        derivation.compute(sources, result);
        return result;
    }

    private static boolean needsArtefact(WeightRef ref) {
        Derivation derivation = ref.derivation();
        return ref.source() == WeightRef.Source.ARTEFACT
                || (derivation != null && derivation.sources().stream().anyMatch(Weights::needsArtefact));
    }

    /** Ends one use; the last frees the memory. */
    @Override
    public void close() {
        synchronized (this) {
            if (users == 0 || --users > 0) {
                return;
            }
            arena.close();
        }
        if (base == null) {
            source.close();
        } else {
            base.close();
        }
    }
}
