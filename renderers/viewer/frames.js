const q=s=>document.querySelector(s), img=q("img"), time=q("#time"), view={azimuth:0,elevation:0,zoom:1};
let busy=false, stale=true, last=0;
function draw(){
 if(busy||!stale) return; busy=true; stale=false;
 q("output").textContent=(+time.value).toFixed(2)+" s";
 img.src="/frame.jpg?"+new URLSearchParams({...view,time:time.value,show:q("#show").value});
}
img.onload=img.onerror=()=>{busy=false;draw()};
const change=()=>{stale=true;draw()};
time.oninput=q("#show").onchange=change;
q("#see").onpointermove=e=>{ if(!e.buttons) return; view.azimuth-=e.movementX/150;
 view.elevation=Math.max(-1.4,Math.min(1.4,view.elevation+e.movementY/150)); change() };
q("#see").onwheel=e=>{e.preventDefault(); view.zoom=Math.max(.1,Math.min(10,view.zoom*Math.exp(e.deltaY/1000))); change()};
let playing=false;
q("#play").onclick=()=>{playing=!playing; q("#play").textContent=playing?"Pause":"Play"; last=performance.now()};
setInterval(()=>{ if(!playing) return; const now=performance.now(), end=+time.max||1;
 time.value=(+time.value+(now-last)/1000)%end; last=now; change() },40);
draw();
