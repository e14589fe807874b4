package trm;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import trm.device.Backend;
import trm.device.Capabilities;
import trm.device.Collective;
import trm.device.DeviceBuffer;
import trm.device.DeviceException;
import trm.device.Dtype;
import trm.device.Event;
import trm.device.HostBuffer;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.StepGraph;
import trm.device.Tensor;
import trm.device.cpu.CpuBackend;

/**
 * Ranks as threads of this process, each with a processor of its own: what a trainer does with several ranks, without MPI. Their
 * sums are in the order of the ranks, in double, as those of {@code native/mpi/ranks.cpp}. A step's graph is the step itself: a
 * collective here cannot be captured.
 */
public final class RanksInThreads {
    private static final int SECONDS = 60;

    /** What a rank does. */
    @FunctionalInterface
    public interface Work<T> {
        T run(Backend backend) throws Exception;
    }

    private final int ranks;
    private final CyclicBarrier barrier;
    private final Object[] said;

    private RanksInThreads(int ranks) {
        this.ranks = ranks;
        barrier = new CyclicBarrier(ranks);
        said = new Object[ranks];
    }

    /** What each rank's work returns, in their order; the first failure of one of them is thrown. */
    public static <T> List<T> run(int ranks, Work<T> work) throws Exception {
        RanksInThreads all = new RanksInThreads(ranks);
        ExecutorService threads = Executors.newFixedThreadPool(ranks);
        try {
            List<Future<T>> results = new ArrayList<>();
            for (int r = 0; r < ranks; r++) {
                int rank = r;
                Callable<T> task = () -> {
                    try (Rank backend = all.new Rank(rank)) {
                        return work.run(backend);
                    } catch (Exception | Error e) {
                        all.barrier.reset();
                        throw e;
                    }
                };
                results.add(threads.submit(task));
            }
            List<T> values = new ArrayList<>();
            Exception failure = null;
            for (Future<T> result : results) {
                try {
                    values.add(result.get());
                } catch (ExecutionException e) {
                    boolean secondary = e.getCause() instanceof DeviceException d
                            && d.getMessage().startsWith("rank ");
                    if (failure == null || !secondary) {
                        failure = e.getCause() instanceof Exception cause ? cause : e;
                    }
                }
            }
            if (failure != null) {
                throw failure;
            }
            return values;
        } finally {
            threads.shutdownNow();
        }
    }

    private final class Rank implements Backend, Collective {
        private final CpuBackend cpu = new CpuBackend(1);
        private final int rank;

        Rank(int rank) {
            this.rank = rank;
        }

        /** What all ranks say; until all have read it, nobody says anything else. */
        private Object[] exchange(Object own) {
            said[rank] = own;
            await();
            Object[] all = said.clone();
            await();
            return all;
        }

        private void await() {
            try {
                barrier.await(SECONDS, TimeUnit.SECONDS);
            } catch (BrokenBarrierException | TimeoutException e) {
                throw new DeviceException("rank " + rank + " of " + ranks + ": one of the others has ended");
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new DeviceException("rank " + rank + ": interrupted");
            }
        }

        @Override
        public int rank() {
            return rank;
        }

        @Override
        public int ranks() {
            return ranks;
        }

        @Override
        public void allReduce(Tensor values) {
            if (values.dtype() == Dtype.F64) {
                double[] sum = new double[(int) values.count()];
                for (Object theirs : exchange(HostCopy.doubles(cpu, values))) {
                    for (int i = 0; i < sum.length; i++) {
                        sum[i] += ((double[]) theirs)[i];
                    }
                }
                HostCopy.put(cpu, values, sum);
            } else {
                Object[] all = exchange(HostCopy.floats(cpu, values));
                float[] sum = new float[(int) values.count()];
                for (int i = 0; i < sum.length; i++) {
                    double s = 0;
                    for (Object theirs : all) {
                        s += ((float[]) theirs)[i];
                    }
                    sum[i] = (float) s;
                }
                HostCopy.put(cpu, values, sum);
            }
        }

        private byte[] bytes(Tensor t) {
            byte[] bytes = new byte[(int) t.bytes()];
            ByteBuffer buffer = ByteBuffer.allocateDirect(bytes.length);
            cpu.download(t, buffer);
            buffer.rewind().get(bytes);
            return bytes;
        }

        private void put(byte[] bytes, Tensor t) {
            cpu.upload(ByteBuffer.allocateDirect(bytes.length).put(bytes).flip(), t);
        }

        @Override
        public void allGather(Tensor own, Tensor all) {
            Object[] parts = exchange(bytes(own));
            for (int r = 0; r < ranks; r++) {
                put((byte[]) parts[r], all.view(r * own.count(), own.count()));
            }
        }

        @Override
        public void broadcast(Tensor data, int root) {
            put((byte[]) exchange(bytes(data))[root], data);
        }

        @Override
        public void barrier() {
            exchange(null);
        }

        @Override
        public void abort(int exitCode) {
            barrier.reset();
        }

        @Override
        public Collective collective() {
            return this;
        }

        @Override
        public StepGraph capture(Runnable step) {
            return new StepGraph() {
                @Override
                public void launch() {
                    step.run();
                }

                @Override
                public void close() {
                    // nothing is held
                }
            };
        }

        @Override
        public String name() {
            return cpu.name();
        }

        @Override
        public String target() {
            return cpu.target();
        }

        @Override
        public Capabilities capabilities() {
            return cpu.capabilities();
        }

        @Override
        public Kernels kernels() {
            return cpu.kernels();
        }

        @Override
        public long freeBytes() {
            return cpu.freeBytes();
        }

        @Override
        public Map<String, Long> overheadBytes() {
            return cpu.overheadBytes();
        }

        @Override
        public DeviceBuffer allocate(String name, long bytes) {
            return cpu.allocate(name, bytes);
        }

        @Override
        public void upload(ByteBuffer from, Tensor to) {
            cpu.upload(from, to);
        }

        @Override
        public void download(Tensor from, ByteBuffer to) {
            cpu.download(from, to);
        }

        @Override
        public void synchronize() {
            cpu.synchronize();
        }

        @Override
        public HostBuffer hostBuffer(int bytes) {
            return cpu.hostBuffer(bytes);
        }

        @Override
        public void enqueueUpload(HostBuffer from, int offset, Tensor to) {
            cpu.enqueueUpload(from, offset, to);
        }

        @Override
        public void enqueueDownload(Tensor from, HostBuffer to) {
            cpu.enqueueDownload(from, to);
        }

        @Override
        public Event event() {
            return cpu.event();
        }

        @Override
        public void close() {
            cpu.close();
        }
    }
}
