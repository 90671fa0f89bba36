const q=s=>document.querySelector(s), time=q("#time"), view={azimuth:0,elevation:0,zoom:1};
// One picture is drawn by the server while the one before it is on its way and decoded here.
const AT_ONCE=2;
let img=q("img"), flying=0, asked=0, shown=0, stale=true, last=0;
function draw(){
 if(flying>=AT_ONCE||!stale) return; flying++; stale=false;
 q("output").textContent=(+time.value).toFixed(2)+" s";
 const mine=++asked, next=new Image();
 next.alt=img.alt; next.draggable=false;
 next.src="/frame.jpg?"+new URLSearchParams({...view,time:time.value,show:q("#show").value});
 next.decode().then(()=>{ if(mine>shown){ shown=mine; img.replaceWith(next); img=next } }, ()=>{})
  .then(()=>{ flying--; draw() });
}
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
