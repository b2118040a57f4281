package ai.winnow.tensor;

import ai.winnow.ShapeException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** An immutable view: what is held, how it lies, and where. The arena the storage came from owns the memory. */
public record Tensor(TensorSpec spec, Layout layout, Storage storage) {

    /** Every tensor that Winnow allocates starts at a multiple of this: a cache line, and the widest vector. */
    public static final long ALIGNMENT = 64;

    public Tensor {
        if (storage.bytes() < layout.bytes(spec)) {
            throw new ShapeException(spec + " in " + layout + " takes " + layout.bytes(spec)
                    + " bytes, the storage has " + storage.bytes());
        }
    }

    /** A zeroed tensor in {@code layout}. */
    public static Tensor allocate(Arena arena, TensorSpec spec, Layout layout) {
        MemorySegment segment = NativeMemory.allocate(arena, layout.bytes(spec));
        return new Tensor(spec, layout, Storage.wrap(segment, arena));
    }

    /** A zeroed row-major tensor. */
    public static Tensor allocate(Arena arena, DType dtype, long... sizes) {
        return allocate(arena, TensorSpec.of(dtype, sizes), Layout.ROW_MAJOR);
    }

    /** A row-major f32 tensor holding a copy of {@code values}. */
    public static Tensor copyOf(Arena arena, float[] values, long... sizes) {
        Tensor tensor = allocate(arena, DType.F32, sizes);
        requireCount(values.length, tensor.spec);
        MemorySegment.copy(values, 0, tensor.segment(), ValueLayout.JAVA_FLOAT, 0, values.length);
        return tensor;
    }

    /** A row-major int32 tensor holding a copy of {@code values}. */
    public static Tensor copyOf(Arena arena, int[] values, long... sizes) {
        Tensor tensor = allocate(arena, DType.I32, sizes);
        requireCount(values.length, tensor.spec);
        MemorySegment.copy(values, 0, tensor.segment(), ValueLayout.JAVA_INT, 0, values.length);
        return tensor;
    }

    /** A view of {@code segment}. */
    public static Tensor wrap(MemorySegment segment, TensorSpec spec) {
        return new Tensor(spec, Layout.ROW_MAJOR, new Storage.HostMemory(segment));
    }

    /** The memory, if it lies in this process. */
    public MemorySegment segment() {
        return switch (storage) {
            case Storage.HostMemory host -> host.segment();
            case Storage.DeviceMemory device ->
                throw new ShapeException("this tensor lies on " + device.device() + ", not in host memory");
        };
    }

    public DType dtype() {
        return spec.dtype();
    }

    public Shape shape() {
        return spec.shape();
    }

    /** Element {@code index} of a row-major tensor, counted along the last axis first. */
    public float getFloat(long index) {
        return spec.dtype().getFloat(segment(), index);
    }

    /** All elements of a row-major tensor, converted to float. */
    public float[] toFloats() {
        float[] values = new float[Math.toIntExact(spec.shape().maxElements())];
        if (spec.dtype() == DType.F32) {
            MemorySegment.copy(segment(), ValueLayout.JAVA_FLOAT_UNALIGNED, 0, values, 0, values.length);
        } else {
            MemorySegment segment = segment();
            for (int i = 0; i < values.length; i++) {
                values[i] = spec.dtype().getFloat(segment, i);
            }
        }
        return values;
    }

    /** {@code bytes} rounded up to a multiple of {@link #ALIGNMENT}. */
    public static long align(long bytes) {
        return Math.addExact(bytes, ALIGNMENT - 1) & -ALIGNMENT;
    }

    private static void requireCount(int count, TensorSpec spec) {
        if (count != spec.shape().maxElements()) {
            throw new ShapeException(count + " values cannot fill " + spec);
        }
    }
}
