import org.jspecify.annotations.NullMarked;

/** Tensors, graphs, the planner, sessions and the bridge to DJL. */
@NullMarked
module ai.winnow.core {
    requires static transitive org.jspecify;
    requires static transitive ai.djl.api;
    requires static ai.djl.tokenizers;
    requires com.google.gson;
    requires jdk.jfr;
    requires org.slf4j;

    exports ai.winnow;
    exports ai.winnow.architecture;
    exports ai.winnow.calibrate;
    exports ai.winnow.decode;
    exports ai.winnow.djl;
    exports ai.winnow.io;
    exports ai.winnow.ir;
    exports ai.winnow.kernel;
    exports ai.winnow.kv;
    exports ai.winnow.method;
    exports ai.winnow.reference;
    exports ai.winnow.runtime;
    exports ai.winnow.tensor;

    uses ai.winnow.kernel.KernelProvider;
    uses ai.winnow.method.MethodProvider;

    provides ai.djl.engine.EngineProvider with
            ai.winnow.djl.WinnowEngineProvider;
}
