package ai.winnow.examples;

// README shows what stands between the two markers.
// tag::quickstart[]
import ai.djl.repository.zoo.ZooModel;
import ai.winnow.djl.Winnow;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.sparsity.activation.teal.Teal;
import java.nio.file.Path;

class Quickstart {
    static void run(Path folder) throws Exception { // config.json, safetensors, tokenizer.json, and `winnow calibrate`d
        try (ZooModel<String, String> dense = Winnow.criteria(folder).build().loadModel();
                ZooModel<String, String> fast = Winnow.wrap(dense, SparsityPolicy.of(Teal.uniform(0.4f)))) {
            System.out.println(Winnow.explain(fast)); // which op runs on which kernel, and why
            System.out.println(fast.newPredictor().predict("Once upon a time")); // the same Predictor, faster
        }
    }
}
// end::quickstart[]
