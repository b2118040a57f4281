/** The contract between the planner and the backends: requests, answers, kernels, and the threads and scratch they run on. */
package ai.winnow.kernel;
