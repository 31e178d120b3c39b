// The smallest publish and subscribe.

export class Signal<T> {
  private readonly listeners = new Set<(value: T) => void>();

  /** Returns how to stop listening. */
  listen(listener: (value: T) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  emit(value: T): void {
    for (const listener of this.listeners) listener(value);
  }
}
