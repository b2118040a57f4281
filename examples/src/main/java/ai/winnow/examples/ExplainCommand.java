package ai.winnow.examples;

import ai.winnow.runtime.ModelOptions;
import ai.winnow.runtime.SparseModel;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Says how a model would run. */
@Command(
        name = "explain",
        mixinStandardHelpOptions = true,
        description =
                "Says which op of a model runs on which kernel, what was refused and why, and what memory it takes.")
final class ExplainCommand implements Callable<Integer> {

    @Mixin
    private ModelArguments model = new ModelArguments();

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Override
    public Integer call() {
        ModelOptions options = ModelOptions.defaults().withWarmUp(false).withThreads(model.threads());
        try (SparseModel loaded = SparseModel.load(model.folder(), model.policy(), options)) {
            spec.commandLine().getOut().print(loaded.explain());
            spec.commandLine().getOut().flush();
        }
        return 0;
    }
}
