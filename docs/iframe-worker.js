// Browsers start no workers for pages opened as files, and the search is one. This puts the script of
// a worker into a hidden frame: enough of the Worker of the HTML standard for scripts that listen to
// "message" and answer with postMessage.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.ready = new Promise((resolve) => (this.frame.onload = resolve));
      this.frame.srcdoc = "<!doctype html><title>worker</title>";
      document.body.append(this.frame);
      this.ready = this.ready.then(() => {
        this.frame.onload = null;
        const inside = this.frame.contentWindow;
        inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
        return new Promise((resolve, reject) => {
          const script = inside.document.createElement("script");
          script.src = url;
          script.onload = () => resolve(inside);
          script.onerror = () => reject(new Error(`${url} does not load`));
          inside.document.body.append(script);
        });
      });
    }

    postMessage(data) {
      this.ready.then((inside) => inside.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
