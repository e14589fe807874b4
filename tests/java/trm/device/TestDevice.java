package trm.device;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Stream;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;
import trm.device.cpu.CpuBackend;
import trm.device.cuda.CudaBackend;

/** The device that the tests of the operations and of captured graphs run on: the CPU, or GPU 0 where {@code -Dtrm.test.device=cuda:0}. */
public final class TestDevice {
    /** Classes with the tests of the operations. */
    public static final List<String> OPERATIONS = Stream.of(
                    ElementwiseTest.class,
                    ProductsTest.class,
                    NormTest.class,
                    SwigluTest.class,
                    FusedMlpTest.class,
                    FusedProductsTest.class,
                    AttentionTest.class,
                    EmbeddingTest.class,
                    LanesTest.class,
                    RelaxTest.class,
                    LossTest.class,
                    OptimizerTest.class)
            .map(Class::getName)
            .toList();

    private TestDevice() {}

    public static Backend open() {
        return System.getProperty("trm.test.device", "cpu").equals("cpu")
                ? new CpuBackend(2)
                : new CudaBackend(0, MatmulPrecision.FLOAT32, System.out::println);
    }

    /** Runs test classes in this process and prints the failures and the counts; true if all pass. */
    public static boolean run(List<String> classes) {
        LauncherDiscoveryRequest request = LauncherDiscoveryRequestBuilder.request()
                .selectors(classes.stream().map(name -> selectClass(name)).toList())
                .build();
        SummaryGeneratingListener listener = new SummaryGeneratingListener();
        LauncherFactory.create().execute(request, listener);
        TestExecutionSummary summary = listener.getSummary();
        summary.printFailuresTo(new PrintWriter(System.out, true, StandardCharsets.UTF_8), 3);
        System.out.println(summary.getTestsSucceededCount() + " passed, " + summary.getTestsFailedCount() + " failed, "
                + summary.getTestsAbortedCount() + " skipped");
        return summary.getTotalFailureCount() == 0 && summary.getTestsSucceededCount() > 0;
    }
}
