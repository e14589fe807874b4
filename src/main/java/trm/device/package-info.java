/**
 * Memory, tensors and the operations of a backend; only {@code device.cpu} and {@code device.cuda} know a library. From
 * below:
 *
 * <ol>
 *   <li>The library: {@link trm.device.NativeOps} binds the table of operations that {@code native/include/trm_ops.h}
 *       declares; {@link trm.device.NativeBuild}, {@link trm.device.NativeLibrary} and {@link trm.device.NativeCache} find
 *       and load it. {@link trm.device.Operations} are those of its entries that do work, over addresses; a library of
 *       others takes the place of some by decorating them ({@link trm.device.ForwardingOperations}).
 *   <li>Operations over tensors: {@link trm.device.Kernels}, by theme, each call through one {@code Launcher} that checks
 *       operands, keeps the first error from which a device cannot recover ({@link trm.device.StickyError}), times
 *       ({@link trm.device.Profile}) and notes what a captured step calls ({@link trm.device.Capture}).
 *   <li>Memory: a {@link trm.device.Tensor} is a view of a {@link trm.device.DeviceBuffer}; an {@link trm.device.Arena}
 *       owns buffers and gives each tensor its place by {@link trm.device.Purpose} and {@link trm.device.Lifetime}. All that
 *       it needs is an {@link trm.device.Allocator}.
 *   <li>The device: a {@link trm.device.Backend} is an allocator with {@link trm.device.Capabilities}, kernels, copies to
 *       and from the host, {@link trm.device.Event}s and {@link trm.device.StepGraph}s. {@link trm.device.PlanningBackend}
 *       stands for one while memory is planned: it has no memory and no kernels.
 * </ol>
 */
package trm.device;
